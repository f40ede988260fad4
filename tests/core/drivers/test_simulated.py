from __future__ import annotations

import gzip
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from core.drivers.simulated import datacentre, load
from core.drivers.simulated.datacentre import EPOCH
from core.drivers.simulated.faults import Action, Fault, read
from core.drivers.simulated.fleet import Fleet
from core.drivers.simulated.load import BUSY_CEILING, Channel
from core.drivers.simulated.pages import Pages
from core.errors import Conflict, Invalid

CENTRE = datacentre.build(7, 3, 30)
NOW = EPOCH + 600 * 86_400.0
CAPTURED = Path(__file__).parents[2] / "pages"
MOMENTS = st.floats(NOW, NOW + 30 * 86_400, allow_nan=False)
Key = tuple[str, tuple[tuple[str, str], ...]]


def parse(page: bytes) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(page.decode())}


def samples(page: bytes) -> dict[Key, float]:
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in parse(page).values() for s in f.samples}


def counters(page: bytes) -> dict[Key, float]:
    found = [sample for family in parse(page).values() if family.type == "counter" for sample in family.samples]
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for s in found}


def of(page: bytes, name: str, **wanted: str) -> float:
    """The sum of the samples of a name that have these labels."""
    found = [value for (have, labels), value in samples(page).items()
             if have == name and wanted.items() <= dict(labels).items()]  # fmt: skip
    assert found, f"no {name} {wanted}"
    return sum(found)


def fleet() -> tuple[Fleet, Pages]:
    made = Fleet(CENTRE)
    return made, Pages(made)


def vm_on(host: int) -> str:
    return CENTRE.vms[CENTRE.hosts[host].vms[0]].id


@pytest.fixture(autouse=True, scope="module")
def _no_overflow_warnings() -> Iterator[None]:
    """Hashing wraps around on purpose: any warning of numpy would be an error in the product's log."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# --- the data centre


def test_the_same_seed_gives_the_same_data_centre() -> None:
    assert datacentre.build(7, 3, 30) == CENTRE
    assert datacentre.build(8, 3, 30).vms != CENTRE.vms


def test_the_data_centre_of_a_seed_never_changes() -> None:
    vm = datacentre.build(1, 4, 24).vms[0]
    assert (vm.id, vm.name, vm.uuid, vm.nics[0].mac) == (
        "vm-sim-00001", "web-00001", "3df89b04-bc40-495e-b186-2f3d2a18b927", "52:54:00:9c:84:53")  # fmt: skip


@given(st.integers(0, 2**63), st.integers(1, 12), st.integers(0, 120))
@settings(max_examples=25, deadline=None)
def test_names_are_unique_and_no_host_is_overcommitted(seed: int, hosts: int, vms: int) -> None:
    centre = datacentre.build(seed, hosts, vms)
    assert len(centre.hosts) == hosts
    assert len(centre.vms) == vms
    nics = [nic for vm in centre.vms for nic in vm.nics]
    for names in ([vm.id for vm in centre.vms], [vm.uuid for vm in centre.vms], [nic.mac for nic in nics],
                  [nic.ip for nic in nics], [nic.device for nic in nics]):  # fmt: skip
        assert len(set(names)) == len(names)
    assert sorted(i for host in centre.hosts for i in host.vms) == list(range(vms))
    for host in centre.hosts:
        here = [centre.vms[i] for i in host.vms]
        assert sum(vm.vcpus for vm in here) <= host.threads * 0.83
        assert sum(vm.memory_mb for vm in here) <= host.memory_mb
        assert sum(disk.size_gb for vm in here for disk in vm.disks) <= host.store_gb


def test_vms_differ_and_about_a_third_is_idle() -> None:
    centre = datacentre.build(3, 50, 1000)
    assert {vm.vcpus for vm in centre.vms} == {1, 2, 4, 8, 16}
    assert {len(vm.disks) for vm in centre.vms} == {1, 2, 3}
    assert {len(vm.nics) for vm in centre.vms} == {1, 2}
    vcpus = np.array([vm.vcpus for vm in centre.vms])
    level = load.build(centre).profile.level[Channel.CPU, :1000] / vcpus
    assert 0.2 < (level < 0.03).mean() < 0.4


def test_vms_without_hosts_are_refused() -> None:
    with pytest.raises(ValueError, match="need at least one simulated host"):
        datacentre.build(1, 0, 1)


# --- load


@given(MOMENTS, st.floats(0.2, 86_400))
@settings(max_examples=60, deadline=None)
def test_rates_are_never_negative_and_stay_below_the_ceiling(at: float, seconds: float) -> None:
    profile = load.build(CENTRE).profile
    mean = (profile.total(at + seconds) - profile.total(at)) / seconds
    assert (mean > 0).all()
    assert (mean <= profile.ceiling() * (1 + 1e-6)).all()
    vcpus = np.array([vm.vcpus for vm in CENTRE.vms])
    assert (mean[Channel.CPU, : len(vcpus)] <= vcpus * BUSY_CEILING * (1 + 1e-6)).all()


def test_load_has_a_day_a_night_and_noise() -> None:
    centre = datacentre.build(5, 40, 600)
    profile = load.build(centre).profile
    monday = EPOCH + 12 * 86_400
    hours = monday + 3600.0 * np.arange(25).reshape(-1, 1, 1)
    hourly = np.diff(profile.total(hours)[:, Channel.CPU, :600].sum(axis=-1))
    assert hourly[14] > 1.2 * hourly[2]
    steps = monday + 10.0 * np.arange(200).reshape(-1, 1, 1)
    rates = np.diff(profile.total(steps)[:, Channel.CPU, :600], axis=0)
    assert (rates.std(axis=0) > 0.01 * rates.mean(axis=0)).all()


# --- pages


def test_pages_are_a_function_of_seed_and_time_alone() -> None:
    _, first = fleet()
    _, second = fleet()
    for at in (NOW + 500, NOW, NOW + 90_000):
        second.host_page(1, at)
    assert second.host_page(1, NOW) == first.host_page(1, NOW)
    assert second.vm_page(1, NOW) == first.vm_page(1, NOW)
    assert first.vm_page(1, NOW) != first.vm_page(1, NOW + 10)


@given(st.integers(0, 2), MOMENTS, st.floats(0.1, 7 * 86_400))
@settings(max_examples=25, deadline=None)
def test_counters_never_fall(host: int, at: float, seconds: float) -> None:
    _, pages = fleet()
    for render in (pages.host_page, pages.vm_page):
        before, after = counters(render(host, at)), counters(render(host, at + seconds))
        assert before.keys() == after.keys()
        assert all(after[key] >= value >= 0 for key, value in before.items())


@pytest.mark.parametrize(("kind", "render"), [("node_exporter", "host_page"), ("libvirt_exporter", "vm_page")])
def test_families_and_labels_are_those_of_the_real_exporter(kind: str, render: str) -> None:
    real = parse(gzip.decompress((CAPTURED / f"{kind}.prom.gz").read_bytes()))
    ours = parse(getattr(fleet()[1], render)(0, NOW))
    added = {name for name in ours if name not in real}
    assert all(name.startswith(("libvirt_domain_memory_stats_", "libvirt_domain_block_stats_")) for name in added)
    for name in ours.keys() - added:
        assert (ours[name].type, ours[name].documentation) == (real[name].type, real[name].documentation), name
        assert {tuple(s.labels) for s in ours[name].samples} == {tuple(s.labels) for s in real[name].samples}, name


def test_a_host_uses_at_least_what_its_vms_use() -> None:
    _, pages = fleet()
    for host in range(3):

        def used(at: float, host: int = host) -> tuple[float, float]:
            page = pages.host_page(host, at)
            busy = sum(of(page, "node_cpu_seconds_total", mode=mode) for mode in ("user", "system", "softirq"))
            return busy, of(pages.vm_page(host, at), "libvirt_domain_info_cpu_time_seconds_total")

        (host_before, vms_before), (host_after, vms_after) = used(NOW), used(NOW + 60)
        assert vms_after - vms_before <= host_after - host_before + 0.5
        assert host_after - host_before < 60 * CENTRE.hosts[host].threads


def test_every_thread_is_accounted_for_every_second() -> None:
    _, pages = fleet()
    host = CENTRE.hosts[0]
    page = pages.host_page(0, NOW)
    for thread in range(host.threads):
        assert of(page, "node_cpu_seconds_total", cpu=str(thread)) == pytest.approx(NOW - host.boot, abs=0.1)


def test_memory_of_guests_and_host_adds_up() -> None:
    _, pages = fleet()
    vms = pages.vm_page(0, NOW)
    memory = "libvirt_domain_memory_stats_"
    used = of(vms, f"{memory}available_bytes") - of(vms, f"{memory}usable_bytes")
    assert 0 < used < of(vms, "libvirt_domain_info_maximum_memory_bytes")
    assert of(vms, f"{memory}unused_bytes") < of(vms, f"{memory}usable_bytes")
    host = pages.host_page(0, NOW)
    assert of(host, "node_memory_MemTotal_bytes") - of(host, "node_memory_MemAvailable_bytes") >= used


def test_a_host_without_vms_has_pages() -> None:
    pages = Pages(Fleet(datacentre.build(1, 1, 0)))
    assert of(pages.vm_page(0, NOW), "libvirt_domains_number") == 0
    assert of(pages.host_page(0, NOW + 10), "node_load1") > 0


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_vm_with_any_number_of_nics_has_pages(count: int) -> None:
    fleet = Fleet(datacentre.build(1, 1, 3))
    vm = fleet.vms[0]
    fleet.describe(replace(vm, nics=tuple(replace(vm.nics[0], id=f"n{i}", device=f"tap{i}") for i in range(count))))
    pages = Pages(fleet)
    page = pages.host_page(0, NOW).decode()
    assert [page.count(f'node_network_receive_bytes_total{{device="tap{i}"}}') for i in range(count)] == [1] * count
    assert of(pages.vm_page(0, NOW), "libvirt_domains_number") == 3


# --- faults


def vm_cpu_rate(pages: Pages, host: int, vm: str, at: float) -> float:
    name = "libvirt_domain_info_cpu_time_seconds_total"
    return (of(pages.vm_page(host, at + 60), name, domain=vm) - of(pages.vm_page(host, at), name, domain=vm)) / 60


def test_a_loaded_vm_is_busy_until_it_is_healed_and_its_counters_never_fall() -> None:
    made, pages = fleet()
    vm = CENTRE.vms[CENTRE.hosts[0].vms[0]]
    before = counters(pages.vm_page(0, NOW))
    made.apply(Fault(Action.LOAD_VM, vm.name), NOW)
    assert vm_cpu_rate(pages, 0, vm.id, NOW + 1) == pytest.approx(0.97 * vm.vcpus, abs=0.02)
    loaded = counters(pages.vm_page(0, NOW + 600))
    made.apply(Fault(Action.HEAL, vm.id), NOW + 600)
    assert vm_cpu_rate(pages, 0, vm.id, NOW + 700) <= BUSY_CEILING * vm.vcpus
    healed = counters(pages.vm_page(0, NOW + 601))
    assert all(before[key] <= loaded[key] <= healed[key] for key in before)


def test_a_restarted_vm_counts_from_zero_and_its_host_counts_on() -> None:
    made, pages = fleet()
    vm = vm_on(0)
    host_before = counters(pages.host_page(0, NOW))
    made.apply(Fault(Action.RESTART_VM, vm), NOW)
    for name in ("info_cpu_time_seconds_total", "block_stats_read_bytes_total", "interface_stats_receive_bytes_total"):
        assert of(pages.vm_page(0, NOW), f"libvirt_domain_{name}", domain=vm) == 0
    taps = {nic.device for nic in CENTRE.vms[CENTRE.hosts[0].vms[0]].nics}
    host_after = counters(pages.host_page(0, NOW + 10))
    assert all(host_after[key] >= value for key, value in host_before.items() if dict(key[1]).get("device") not in taps)


def test_a_crashed_host_comes_back_with_a_new_boot_and_counters_at_zero() -> None:
    made, pages = fleet()
    made.apply(Fault(Action.CRASH_HOST, CENTRE.hosts[0].id), NOW)
    assert not any(made.runs(vm) for vm in CENTRE.hosts[0].vms)
    made.apply(Fault(Action.HEAL, CENTRE.hosts[0].id), NOW + 3600)
    page = pages.host_page(0, NOW + 3610)
    assert of(page, "node_boot_time_seconds") == int(NOW + 3600)
    assert of(page, "node_cpu_seconds_total", cpu="0") == pytest.approx(10, abs=0.1)
    assert all(0 <= value < 1e9 for value in counters(page).values())
    cpu = of(pages.vm_page(0, NOW + 3610), "libvirt_domain_info_cpu_time_seconds_total")
    assert 0 < cpu < 10 * CENTRE.hosts[0].threads


def test_nothing_is_counted_while_a_host_is_down() -> None:
    made, _ = fleet()
    members = made.members(0)
    made.apply(Fault(Action.CRASH_HOST, CENTRE.hosts[0].id), NOW)
    assert (made.meters.work(NOW, members) == made.meters.work(NOW + 9_000, members)).all()


def test_a_stopped_vm_is_shut_off_and_has_no_counters() -> None:
    made, pages = fleet()
    vm = vm_on(1)
    made.set_power(vm, on=False, at=NOW)
    mine = {key[0]: value for key, value in samples(pages.vm_page(1, NOW + 5)).items() if ("domain", vm) in key[1]}
    assert mine["libvirt_domain_state_code"] == 5
    assert not any(name.endswith("_total") for name in mine)
    made.set_power(vm, on=True, at=NOW + 100)
    assert of(pages.vm_page(1, NOW + 100), "libvirt_domain_info_cpu_time_seconds_total", domain=vm) == 0


def test_a_resized_vm_shows_its_new_size_and_its_counters_never_fall() -> None:
    made, pages = fleet()
    vm = vm_on(2)
    before = counters(pages.vm_page(2, NOW))
    made.resize(vm, vcpus=3, memory_mb=3072, at=NOW)
    page = pages.vm_page(2, NOW + 1)
    assert of(page, "libvirt_domain_info_virtual_cpus", domain=vm) == 3
    assert of(page, "libvirt_domain_info_maximum_memory_bytes", domain=vm) == 3072 * 2**20
    after = counters(page)
    assert all(after[key] >= value for key, value in before.items())
    with pytest.raises(Conflict, match="not enough CPU"):
        made.resize(vm, vcpus=10_000, memory_mb=3072, at=NOW)
    with pytest.raises(Invalid, match="1 or more"):
        made.resize(vm, vcpus=0, memory_mb=3072, at=NOW)


def test_a_full_disk_is_full_and_only_that_one() -> None:
    made, pages = fleet()
    vm = next(vm for vm in CENTRE.vms if len(vm.disks) == 3)
    made.apply(Fault(Action.FILL_DISK, vm.id, "vdb"), NOW)
    page = pages.vm_page(vm.host, NOW)
    block = "libvirt_domain_block_stats_"
    full, names = {}, ("allocation", "capacity_bytes")
    for disk in vm.disks:
        used, size = (of(page, block + name, domain=vm.id, target_device=disk.device) for name in names)
        full[disk.device] = used / size
    assert full.pop("vdb") == pytest.approx(0.96, abs=1e-6)
    assert max(full.values()) < 0.8


def test_file_systems_of_a_host_fill_up() -> None:
    made, pages = fleet()
    made.apply(Fault(Action.FILL_DISK, CENTRE.hosts[0].id), NOW)
    page = pages.host_page(0, NOW)
    for mount in ("/", "/var/lib/libvirt/images"):
        size = of(page, "node_filesystem_size_bytes", mountpoint=mount)
        assert of(page, "node_filesystem_avail_bytes", mountpoint=mount) == pytest.approx(0.04 * size, rel=1e-4)


def test_a_moved_vm_is_on_its_new_host_only_and_both_hosts_count_on() -> None:
    made, pages = fleet()
    vm = CENTRE.vms[CENTRE.hosts[0].vms[0]]
    before = [of(pages.host_page(host, NOW), "node_disk_read_bytes_total", device="nvme0n1") for host in (0, 1)]
    made.move(vm.id, CENTRE.hosts[1].id, NOW)
    assert of(pages.vm_page(1, NOW), "libvirt_domain_info_cpu_time_seconds_total", domain=vm.id) == 0
    assert f'"{vm.id}"' not in pages.vm_page(0, NOW).decode()
    after = [of(pages.host_page(host, NOW + 1), "node_disk_read_bytes_total", device="nvme0n1") for host in (0, 1)]
    assert all(0 <= late - early < 1e9 for early, late in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(Action.CRASH_HOST, "nope"), "host 'nope'; allowed: host-sim-001, "),
        (Fault(Action.CRASH_HOST), "id of a simulated host is missing"),
        (Fault(Action.LOAD_VM, "host-sim-001"), "'host-sim-001'; allowed: vm-sim-00001 ... vm-sim-00030"),
        (Fault(Action.HEAL, "nope"), "no simulated host or VM"),
        (Fault(Action.FILL_DISK, "host-sim-001", "/home"), "'/home'; allowed: /, /var/lib/libvirt/images"),
        (Fault(Action.FILL_DISK, "vm-sim-00001", "vdz"), "there is no 'vdz'; allowed: vda"),
    ],
)
def test_a_fault_that_makes_no_sense_says_what_would(fault: Fault, says: str) -> None:
    made, _ = fleet()
    with pytest.raises(Invalid) as refused:
        made.apply(fault, NOW)
    assert says in str(refused.value)
    assert made.dump() == Fleet(CENTRE).dump()


def test_an_unknown_action_is_refused_with_those_there_are() -> None:
    with pytest.raises(Invalid, match="crash-host, cut-link"):
        read("explode", "host-sim-001")


def test_a_host_that_is_down_takes_no_other_fault() -> None:
    made, _ = fleet()
    made.apply(Fault(Action.CRASH_HOST, CENTRE.hosts[0].id), NOW)
    for fault in (Fault(Action.CUT_LINK, CENTRE.hosts[0].id), Fault(Action.LOAD_VM, vm_on(0))):
        with pytest.raises(Conflict, match="down"):
            made.apply(fault, NOW)


def _story(made: Fleet) -> Mapping[str, object]:
    hosts = CENTRE.hosts
    made.apply(Fault(Action.CRASH_HOST, hosts[0].id), NOW)
    made.apply(Fault(Action.HEAL, hosts[0].id), NOW + 50)
    made.apply(Fault(Action.LOAD_VM, vm_on(0)), NOW + 60)
    made.apply(Fault(Action.HANG_EXPORTER, hosts[1].id), NOW + 61)
    made.apply(Fault(Action.RESTART_VM, vm_on(1)), NOW + 62)
    made.apply(Fault(Action.FILL_DISK, vm_on(2)), NOW + 63)
    made.resize(vm_on(2), vcpus=1, memory_mb=512, at=NOW + 64)
    made.move(vm_on(1), hosts[2].id, NOW + 65)
    return orjson.loads(orjson.dumps(made.dump()))


def test_what_was_done_survives_a_restart_exactly() -> None:
    made, pages = fleet()
    kept = _story(made)
    again, pages_again = fleet()
    assert again.restore(kept)
    assert orjson.loads(orjson.dumps(again.dump())) == kept
    for host in range(3):
        for kind in ("vm_page", "host_page"):
            old, new = (samples(getattr(side, kind)(host, NOW + 999)) for side in (pages, pages_again))
            assert new == pytest.approx(old, rel=1e-9, abs=1)


def test_a_dump_of_another_data_centre_is_not_taken_up() -> None:
    other = Fleet(datacentre.build(8, 3, 30))
    assert not other.restore(_story(fleet()[0]))
    assert other.dump() == Fleet(other.centre).dump()


def test_healing_everything_leaves_no_fault() -> None:
    made, _ = fleet()
    _story(made)
    made.apply(read("heal", "all"), NOW + 70)
    assert not any(condition.faults for condition in (*made.host_conditions, *made.vm_conditions.values()))
