"""The simulated ComputeDriver: the contract, and what it shows on its pages."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace

import pytest

from core.clock import VirtualClock
from core.drivers.compute import DiskWish, FromVm, GuestSilent, Refused, VmAt, VolumeWish
from core.drivers.simulated.compute import SimulatedCompute
from core.drivers.simulated.faults import Action, Deed, Fault
from core.drivers.simulated.pages import Pages
from tests.contract.compute import *  # noqa: F403
from tests.contract.compute import Bench, Watching, a_wish
from tests.support.world import MemoryWorld

HOST = "host-sim-001"
AT = VmAt(HOST, "vm-one")
BLOCK = "libvirt_domain_block_stats_"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def world(clock: VirtualClock) -> MemoryWorld:
    return MemoryWorld(clock, hosts=2, vms=4)


@pytest.fixture
def bench(world: MemoryWorld) -> Bench:
    return Bench(SimulatedCompute(world, 0), SimulatedCompute(world, 60), HOST, lambda host: world.inject(_cut(host)))


def _cut(host: str) -> Fault:
    return Fault(Action.CUT_LINK, host)


def page(world: MemoryWorld) -> dict[str, float]:
    """The lines of vm-one on its host's page, without their labels."""
    text = Pages(world.fleet).vm_page(0, world.clock.now().timestamp()).decode()
    lines = [line for line in text.splitlines() if 'domain="vm-one"' in line]
    return {line.partition("{")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_a_new_vm_has_a_load_of_its_own_that_begins_when_it_is_started(
    bench: Bench, world: MemoryWorld, clock: VirtualClock
) -> None:
    bench.make()
    assert "libvirt_domain_info_cpu_time_seconds_total" not in page(world)
    bench.driver.ensure_on(AT)
    assert page(world)["libvirt_domain_info_cpu_time_seconds_total"] == 0
    clock.advance(3600)
    busy = page(world)["libvirt_domain_info_cpu_time_seconds_total"]
    assert 0 < busy < 2 * 3600
    assert 0 < page(world)[f"{BLOCK}allocation"] < page(world)[f"{BLOCK}capacity_bytes"] == 2 * 2**30


def test_pages_follow_size_power_and_disks(bench: Bench, world: MemoryWorld) -> None:
    bench.make()
    bench.driver.ensure_on(AT)
    bench.driver.ensure_size(AT, 4, 2048)
    bench.driver.ensure_disk_size(AT, "disk-one", 7)
    shown = page(world)
    assert shown["libvirt_domain_info_virtual_cpus"] == 4
    assert shown["libvirt_domain_info_maximum_memory_bytes"] == 2048 * 2**20
    assert shown[f"{BLOCK}capacity_bytes"] == 7 * 2**30
    bench.driver.ensure_off(AT)
    assert page(world)["libvirt_domain_state_code"] == 5
    bench.driver.ensure_gone(AT)
    assert page(world) == {}


@pytest.mark.parametrize("kept", ["snapshot", "backup"])
def test_what_is_kept_brings_the_use_of_disks_back(
    bench: Bench, world: MemoryWorld, clock: VirtualClock, kept: str
) -> None:
    bench.make()
    driver = bench.driver
    driver.ensure_on(AT)
    then = page(world)[f"{BLOCK}allocation"]
    driver.ensure_snapshot(AT, "s", Watching()) if kept == "snapshot" else driver.ensure_backup(AT, "b", Watching())
    clock.advance(5 * 86_400)
    assert page(world)[f"{BLOCK}allocation"] != then
    if kept == "snapshot":
        driver.revert(AT, "s", Watching())
    else:
        driver.ensure_off(AT)
        driver.restore(AT, "b", Watching())
        driver.ensure_on(AT)
    assert page(world)[f"{BLOCK}allocation"] == then
    clock.advance(5 * 86_400)
    assert page(world)[f"{BLOCK}allocation"] != then


def test_a_hosts_counters_never_fall_while_vms_come_and_go(
    bench: Bench, world: MemoryWorld, clock: VirtualClock
) -> None:
    def busy() -> float:
        members = world.fleet.members(0)
        now = clock.now().timestamp()
        return float(world.fleet.guests(0, world.fleet.meters.work(now, members[:-1]))[0])

    seen = [busy()]
    for name in ("one", "two", "three"):
        bench.driver.ensure_on(bench.make(name))
        clock.advance(600)
        seen.append(busy())
        bench.driver.ensure_gone(VmAt(HOST, f"vm-{name}"))
        seen.append(busy())
    assert seen == sorted(seen)


def test_all_of_it_survives_a_restart(bench: Bench, world: MemoryWorld, clock: VirtualClock) -> None:
    driver = bench.driver
    for name in ("one", "two"):
        driver.ensure_on(bench.make(name))
    clock.advance(1000)
    driver.ensure_disk(AT, DiskWish(id="d2", device="vdb", size_gb=1))
    driver.ensure_snapshot(AT, "s", Watching())
    driver.ensure_backup(AT, "b", Watching())
    driver.ensure_disk_gone(AT, "d2", keep=True)
    clock.advance(1000)
    driver.revert(AT, "s", Watching())
    driver.ensure_volume(HOST, VolumeWish(id="free", size_gb=1, ceph_key="key"))
    driver.ensure_gone(VmAt(HOST, "vm-two"))
    driver.ensure_gone(VmAt(HOST, next(iter(world.vm_ids()))))
    again = world.reborn()
    assert again.dump() == world.dump()
    assert page(again) == page(world)
    other = SimulatedCompute(again, 0)
    assert other.report(other.hosts()) == driver.report(driver.hosts())


def test_a_death_while_a_vm_is_made_leaves_one_that_is_not_complete(world: MemoryWorld) -> None:
    class DiesAtTheEnd(MemoryWorld):
        changes = 0

        def change(self, act):  # type: ignore[no-untyped-def]
            self.changes += 1
            if self.changes == 2:
                raise SystemExit
            return super().change(act)

    dying = DiesAtTheEnd(world.clock)
    with pytest.raises(SystemExit):
        SimulatedCompute(dying, 0).ensure_vm(HOST, a_wish(), Watching())
    driver = SimulatedCompute(dying.reborn(), 0)
    facts = driver.look(AT)
    assert facts is not None
    assert not facts.complete
    with pytest.raises(Refused, match="not complete"):
        driver.ensure_on(AT)
    assert driver.ensure_vm(HOST, a_wish(), Watching()).complete


@pytest.mark.parametrize("target", [HOST, "vm-one"])
def test_operations_fail_on_demand(bench: Bench, world: MemoryWorld, target: str) -> None:
    bench.make()
    world.inject(Fault(Action.FAIL_OPERATION, target, Deed.START))
    with pytest.raises(Refused, match="fail-operation"):
        bench.driver.ensure_on(AT)
    bench.driver.ensure_size(AT, 1, 512)
    world.inject(Fault(Action.FAIL_OPERATION, target))
    with pytest.raises(Refused):
        bench.driver.ensure_size(AT, 2, 512)
    with pytest.raises(GuestSilent):
        bench.driver.reboot(AT, 60, Watching())
    world.inject(Fault(Action.HEAL, target))
    bench.driver.ensure_on(AT)


def test_a_volume_has_a_user_of_its_own_for_as_long_as_it_is_there(bench: Bench, world: MemoryWorld) -> None:
    """The key is known by its digest alone: it stands in no dump."""
    wish = VolumeWish(id="free", size_gb=1, ceph_key="a key")
    bench.driver.ensure_volume(HOST, wish)
    bench.driver.ensure_volume(HOST, wish)
    bench.driver.ensure_volume(HOST, VolumeWish(id="plain", size_gb=1))
    volumes = world.reborn().fleet.records.volumes
    digest = hashlib.sha256(b"a key").hexdigest()
    assert {id_: volume.key_sha256 for id_, volume in volumes.items()} == {"free": digest, "plain": ""}
    assert "a key" not in repr(world.dump())
    bench.driver.ensure_volume(HOST, replace(wish, ceph_key="another key", size_gb=9))
    assert world.fleet.records.volumes["free"].key_sha256 == hashlib.sha256(b"another key").hexdigest()
    assert world.fleet.records.volumes["free"].size_gb == 1
    bench.driver.ensure_volume_gone(HOST, "free")
    assert "free" not in world.fleet.records.volumes


def test_what_was_never_made_goes_away_whatever_is_made_to_fail(bench: Bench, world: MemoryWorld) -> None:
    bench.make()
    world.inject(Fault(Action.FAIL_OPERATION, HOST))
    bench.driver.ensure_gone(VmAt(HOST, "vm-none"))
    bench.driver.ensure_disk_gone(AT, "none")
    bench.driver.ensure_nic_gone(AT, "none")
    bench.driver.ensure_snapshot_gone(AT, "none")
    bench.driver.ensure_volume_gone(HOST, "none")
    bench.driver.ensure_backups_gone(HOST, ["none"])
    assert bench.driver.look(AT) is not None
    for ask in (
        lambda: bench.driver.ensure_gone(AT),
        lambda: bench.driver.ensure_disk_gone(AT, "disk-one"),
        lambda: bench.driver.ensure_nic_gone(AT, "nic-one"),
    ):
        with pytest.raises(Refused, match="fail-operation"):
            ask()


def test_a_half_made_vm_goes_away_whatever_is_made_to_fail(bench: Bench, world: MemoryWorld) -> None:
    class Fails(Watching):
        def stopping(self) -> bool:
            world.inject(Fault(Action.FAIL_OPERATION, HOST))
            return False

    with pytest.raises(Refused, match="fail-operation"):
        SimulatedCompute(world, 0.01).ensure_vm(HOST, a_wish(), Fails())
    facts = bench.driver.look(AT)
    assert facts is not None
    assert not facts.complete
    bench.driver.ensure_gone(AT)
    assert bench.driver.look(AT) is None


def test_a_clone_takes_longer_the_more_there_is_to_copy(world: MemoryWorld) -> None:
    def told(size_gb: int) -> int:
        disks = (DiskWish(id=f"disk-{size_gb}", device="vda", size_gb=size_gb, is_system=True),)
        template = VmAt(HOST, f"vm-t{size_gb}")
        quick = SimulatedCompute(world, 0)
        quick.ensure_vm(HOST, replace(a_wish(f"t{size_gb}"), disks=disks), Watching())
        watch = Watching()
        wish = replace(a_wish(f"c{size_gb}"), source=FromVm(template))
        SimulatedCompute(world, 1).ensure_vm(HOST, wish, watch)
        return len(watch.heard)

    assert told(1) == 1
    assert told(90) == 3


def test_a_host_takes_no_more_than_it_has(bench: Bench, world: MemoryWorld) -> None:
    host = world.fleet.centre.hosts[0]
    at = bench.make()
    bench.driver.ensure_on(at)
    for ask in (
        lambda: bench.driver.ensure_disk(at, DiskWish(id="d2", device="vdb", size_gb=host.store_gb)),
        lambda: bench.driver.ensure_volume(HOST, VolumeWish(id="v", size_gb=host.store_gb)),
        lambda: bench.driver.ensure_size(at, 2, host.memory_mb),
        lambda: bench.driver.ensure_size(at, 10 * host.threads, 1024),
    ):
        with pytest.raises(Refused, match="not enough"):
            ask()


def test_what_is_off_takes_storage_only_and_needs_room_to_start(bench: Bench, world: MemoryWorld) -> None:
    fleet = world.fleet
    conditions = [fleet.vm_conditions[resident] for resident in fleet.residents(0)]
    free_mb = fleet.centre.hosts[0].memory_mb - sum(vm.memory_mb for vm in conditions if vm.on)
    off, other = bench.make(), VmAt(HOST, "vm-other")
    bench.driver.ensure_size(off, 1, free_mb)
    bench.driver.ensure_vm(HOST, a_wish("other"), Watching())
    bench.driver.ensure_on(other)
    with pytest.raises(Refused, match="not enough memory"):
        bench.driver.ensure_on(off)
    bench.driver.ensure_off(other)
    bench.driver.ensure_on(off)
    bench.driver.ensure_on(off)


def test_a_guest_that_takes_too_long_is_left_to_itself(bench: Bench) -> None:
    bench.driver.ensure_on(bench.make())
    with pytest.raises(GuestSilent):
        bench.slow.ensure_shut_down(AT, 0.1, Watching())


def test_progress_is_told(world: MemoryWorld) -> None:
    watch = Watching()
    SimulatedCompute(world, 0.02).ensure_vm(HOST, a_wish(), watch)
    assert watch.heard[0] == 0


def test_calls_on_one_vm_wait_for_each_other(bench: Bench) -> None:
    at = bench.make()
    disks = [DiskWish(id=f"d{n}", device=f"vd{'bcdefgh'[n]}", size_gb=1) for n in range(7)]
    threads = [threading.Thread(target=bench.driver.ensure_disk, args=(at, disk)) for disk in disks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    facts = bench.driver.look(at)
    assert facts is not None
    assert len(facts.disks) == 8
