"""From pages to fields: recorded pages, and small ones written for one decision each."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from collector.families import WANTED
from collector.parse import Parser
from collector.rates import Moment
from collector.samples import Sampler, Samples, SourceDown
from core.hosts.targets import Exporter, Target
from core.timeseries.fields import COLUMN, Kind

MB = 1024 * 1024


class Scraper:
    """One target, scraped by hand."""

    def __init__(self, target: Target) -> None:
        self.parser = Parser(WANTED[target.exporter])
        self.sampler = Sampler(target, 1000)

    def at(self, when: float, body: bytes | str) -> dict[Kind, dict[str, dict[str, float]]]:
        page = self.parser.parse(body.encode() if isinstance(body, str) else body)
        return {samples.kind: by_name(samples) for samples in self.sampler.sample(page, Moment(when, when))}


def by_name(samples: Samples) -> dict[str, dict[str, float]]:
    columns = COLUMN[samples.kind]
    rows = zip(samples.objects, samples.values.tolist(), strict=True)
    return {name: {field: row[column] for field, column in columns.items()} for name, row in rows}


def measured(fields: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in fields.items() if not math.isnan(value)}


def grown(body: bytes, **steps: float) -> bytes:
    """The page with `step` added to every series whose line contains the name."""
    lines = body.decode().splitlines()
    for number, line in enumerate(lines):
        for name, step in steps.items():
            if name in line and not line.startswith("#"):
                text, _, value = line.rpartition(" ")
                lines[number] = f"{text} {float(value) + step!r}"
    return ("\n".join(lines) + "\n").encode()


def test_the_recorded_host_page_gives_what_its_numbers_say(node: Target, node_page: bytes) -> None:
    scraper = Scraper(node)
    assert math.isnan(scraper.at(0, node_page)[Kind.HOST]["host-1"]["cpu_rate"])
    later = grown(
        node_page,
        **{'mode="idle"': 6.0, 'mode="iowait"': 1.0, 'mode="user"': 3.0},
        **{'read_bytes_total{device="vda"': 10 * 1024 * 50.0, 'disk_reads_completed_total{device="vda"': 20.0},
        **{'receive_bytes_total{device="eth0"': 10 * 1024 * 7.0, 'transmit_bytes_total{device="ifb0"': 1e9},
    )
    found = scraper.at(10, later)
    host = found[Kind.HOST]["host-1"]
    assert host["cpu_rate"] == pytest.approx(30)
    assert host["cpu_num"] == 2
    assert host["mem_size"] == pytest.approx(2.5276510208e10 / MB)
    assert host["mem_used"] == pytest.approx((2.5276510208e10 - 1.6536121344e10) / MB)
    assert host["mem_rate"] == pytest.approx(100 * (1 - 1.6536121344e10 / 2.5276510208e10))
    assert host["disk_size"] == pytest.approx(2.70553174016e11 / MB)
    assert host["disk_used"] == pytest.approx((2.70553174016e11 - 2.43471691776e11) / MB)
    assert (host["disk_read"], host["disk_write"], host["net_down"], host["net_up"]) == (50, 0, 7, 0)
    assert list(found[Kind.DISK]) == ["host-1/vda"]
    assert found[Kind.DISK]["host-1/vda"]["read_requests"] == 2
    assert found[Kind.DISK]["host-1/vda"]["size"] == pytest.approx(2.70553174016e11 / 1024)
    assert list(found[Kind.NIC]) == ["host-1/eth0"]


def test_the_recorded_hypervisor_page_gives_all_vms_and_no_invented_memory(
    libvirt: Target, libvirt_page: bytes
) -> None:
    scraper = Scraper(libvirt)
    scraper.at(0, libvirt_page)
    later = grown(
        libvirt_page, **{'cpu_time_seconds_total{domain="m00"': 2.5, 'receive_bytes_total{domain="m00"': 10240.0}
    )
    found = scraper.at(10, later)
    assert {kind: len(rows) for kind, rows in found.items()} == {Kind.VM: 40, Kind.DISK: 40, Kind.NIC: 40}
    vm = found[Kind.VM]["vm-m00"]
    assert vm["cpu_rate"] == pytest.approx(25)
    assert vm["mem_size"] == 96
    assert math.isnan(vm["mem_used"])
    assert math.isnan(vm["mem_rate"])
    assert vm["net_down"] == 1
    assert vm["net_up"] == 0
    assert "vm-m00/vda" in found[Kind.DISK]
    assert found[Kind.NIC]["vm-m00/vnet46"] == {"down": 1, "up": 0}


VMS = Target("h/libvirt", "h", Exporter.LIBVIRT, "http://h/", {"u1": "vm-1", "u2": "vm-2"})


def vm_page(**extra: float) -> str:
    """A running domain u1 with the named statistics beside it."""
    base = {'state_code{domain="a",uuid="u1"}': 1.0, 'info_virtual_cpus{domain="a",uuid="u1"}': 2.0}
    return "".join(f"libvirt_domain_{name} {value!r}\n" for name, value in (base | extra).items())


def test_guest_statistics_give_memory_in_use() -> None:
    page = vm_page(
        **{'memory_stats_available_bytes{domain="a",uuid="u1"}': 1000.0 * MB},
        **{'memory_stats_usable_bytes{domain="a",uuid="u1"}': 250.0 * MB},
        **{'memory_stats_unused_bytes{domain="a",uuid="u1"}': 10.0 * MB},
        **{'info_maximum_memory_bytes{domain="a",uuid="u1"}': 1024.0 * MB},
    )
    vm = Scraper(VMS).at(0, page)[Kind.VM]["vm-1"]
    assert (vm["mem_size"], vm["mem_used"], vm["mem_rate"]) == (1024, 750, 75)


def test_an_old_balloon_driver_gives_memory_by_what_is_unused() -> None:
    page = vm_page(
        **{'memory_stats_available_bytes{domain="a",uuid="u1"}': 1000.0 * MB},
        **{'memory_stats_usable_bytes{domain="a",uuid="u1"}': 0.0},
        **{'memory_stats_unused_bytes{domain="a",uuid="u1"}': 400.0 * MB},
    )
    assert Scraper(VMS).at(0, page)[Kind.VM]["vm-1"]["mem_used"] == 600


def test_zeros_of_a_guest_without_balloon_are_not_a_measurement() -> None:
    page = vm_page(
        **{'memory_stats_available_bytes{domain="a",uuid="u1"}': 0.0},
        **{'memory_stats_usable_bytes{domain="a",uuid="u1"}': 0.0},
    )
    assert math.isnan(Scraper(VMS).at(0, page)[Kind.VM]["vm-1"]["mem_used"])


def test_disk_sizes_of_a_vm_are_summed_over_its_disks() -> None:
    page = vm_page(
        **{'block_stats_capacity_bytes{domain="a",target_device="vda",uuid="u1"}': 10.0 * MB},
        **{'block_stats_capacity_bytes{domain="a",target_device="vdb",uuid="u1"}': 30.0 * MB},
        **{'block_stats_allocation{domain="a",target_device="vda",uuid="u1"}': 5.0 * MB},
    )
    found = Scraper(VMS).at(0, page)
    assert (found[Kind.VM]["vm-1"]["disk_size"], found[Kind.VM]["vm-1"]["disk_used"]) == (40, 5)
    assert found[Kind.DISK]["vm-1/vdb"]["size"] == 30 * 1024
    assert math.isnan(found[Kind.DISK]["vm-1/vdb"]["used"])


@pytest.mark.parametrize("code", [5, 6])
def test_a_vm_that_is_off_has_no_sample(code: int) -> None:
    page = vm_page() + (
        f'libvirt_domain_state_code{{domain="b",uuid="u2"}} {code}\n'
        'libvirt_domain_block_stats_capacity_bytes{domain="b",target_device="vda",uuid="u2"} 1\n'
    )
    found = Scraper(VMS).at(0, page)
    assert list(found[Kind.VM]) == ["vm-1"]
    assert Kind.DISK not in found


def test_a_paused_vm_has_a_sample() -> None:
    page = 'libvirt_domain_state_code{domain="b",uuid="u2"} 3\n' + vm_page()
    assert set(Scraper(VMS).at(0, page)[Kind.VM]) == {"vm-1", "vm-2"}


def test_a_domain_without_statistics_is_a_row_of_nan_and_the_others_are_untouched() -> None:
    page = vm_page() + 'libvirt_domain_timed_out{domain="b",uuid="u2"} 1\n'
    found = Scraper(VMS).at(0, page)[Kind.VM]
    assert measured(found["vm-2"]) == {}
    assert found["vm-1"]["cpu_num"] == 2


def test_domains_that_the_inventory_does_not_know_are_left_out_and_counted() -> None:
    scraper = Scraper(VMS)
    found = scraper.at(0, vm_page() + 'libvirt_domain_state_code{domain="x",uuid="u9"} 1\n')
    assert list(found[Kind.VM]) == ["vm-1"]
    assert scraper.sampler.strangers == 1


@pytest.mark.parametrize(
    ("family", "label"), [("libvirt_domain_info_meta", "uuid"), ("libvirt_domain_openstack_info", "instance_id")]
)
def test_exporters_that_name_the_uuid_in_a_family_of_its_own_are_matched(family: str, label: str) -> None:
    page = f'{family}{{domain="a",{label}="u1"}} 1\nlibvirt_domain_info_virtual_cpus{{domain="a"}} 8\n'
    assert Scraper(VMS).at(0, page)[Kind.VM]["vm-1"]["cpu_num"] == 8


def test_two_names_for_one_quantity_are_not_added_up() -> None:
    page = vm_page(**{'info_vstate{domain="a",uuid="u1"}': 4.0})
    assert "vm-1" in Scraper(VMS).at(0, page)[Kind.VM]


def test_an_exporter_without_libvirt_is_a_failure_and_not_an_empty_host() -> None:
    with pytest.raises(SourceDown):
        Scraper(VMS).at(0, vm_page() + "libvirt_up 0\n")


def cpu(seconds: float, received: float = 0.0) -> str:
    return vm_page(
        **{'info_cpu_time_seconds_total{domain="a",uuid="u1"}': seconds},
        **{'interface_stats_receive_bytes_total{domain="a",target_device="vnet0",uuid="u1"}': received},
    )


def test_a_restarted_vm_is_a_reset_and_not_a_spike() -> None:
    scraper = Scraper(VMS)
    scraper.at(0, cpu(9000, 1e12))
    vm = scraper.at(10, cpu(4, 20480))[Kind.VM]["vm-1"]
    assert vm["cpu_rate"] == pytest.approx(20)
    assert vm["net_down"] == 2


def test_counters_that_fell_to_a_past_they_cannot_have_grown_since_are_not_known() -> None:
    scraper = Scraper(VMS)
    scraper.at(0, cpu(9000, 1e12))
    vm = scraper.at(10, cpu(5000, 5e11))[Kind.VM]["vm-1"]
    assert math.isnan(vm["cpu_rate"])
    assert math.isnan(vm["net_down"])
    vm = scraper.at(20, cpu(5010, 5e11 + 10240))[Kind.VM]["vm-1"]
    assert (vm["cpu_rate"], vm["net_down"]) == (50, 1)


def test_a_vm_that_arrives_by_migration_has_no_rate_before_its_second_scrape() -> None:
    scraper = Scraper(VMS)
    scraper.at(0, vm_page())
    assert math.isnan(scraper.at(10, cpu(100_000, 1e12))[Kind.VM]["vm-1"]["cpu_rate"])


def test_a_host_whose_iowait_steps_back_keeps_a_sane_rate() -> None:
    host = Target("h/node", "h", Exporter.NODE, "http://h/")
    page = 'node_cpu_seconds_total{{cpu="0",mode="idle"}} {}\nnode_cpu_seconds_total{{cpu="0",mode="iowait"}} {}\n'
    page += 'node_cpu_seconds_total{{cpu="0",mode="user"}} {}\n'
    scraper = Scraper(host)
    scraper.at(0, page.format(1000, 90.0, 50))
    assert scraper.at(10, page.format(1005, 89.9, 55))[Kind.HOST]["h"]["cpu_rate"] == pytest.approx(50.5, abs=0.1)


def test_a_rebooted_host_is_measured_from_its_boot() -> None:
    host = Target("h/node", "h", Exporter.NODE, "http://h/")
    page = 'node_cpu_seconds_total{{cpu="0",mode="idle"}} {}\nnode_cpu_seconds_total{{cpu="0",mode="user"}} {}\n'
    scraper = Scraper(host)
    scraper.at(0, page.format(100_000, 500))
    assert scraper.at(60, page.format(15, 5))[Kind.HOST]["h"]["cpu_rate"] == pytest.approx(25)


def test_another_list_of_vms_keeps_the_counters() -> None:
    scraper = Scraper(VMS)
    scraper.at(0, cpu(10))
    scraper.sampler.retarget(Target("h/libvirt", "h", Exporter.LIBVIRT, "http://h/", {"u1": "vm-1"}))
    assert scraper.at(10, cpu(15))[Kind.VM]["vm-1"]["cpu_rate"] == 25


def test_a_page_of_nothing_we_know_gives_no_vm() -> None:
    assert Scraper(VMS).at(0, "something 1\n") == {}


def test_a_host_without_anything_is_not_measured(node: Target) -> None:
    found = Scraper(node).at(0, "something 1\n")
    assert measured(found[Kind.HOST]["host-1"]) == {}


def test_mounts_of_one_device_and_virtual_file_systems_count_once_or_not_at_all() -> None:
    def mount(device: str, fstype: str, point: str, size: int) -> str:
        labels = f'device="{device}",fstype="{fstype}",mountpoint="{point}"'
        return f"node_filesystem_size_bytes{{{labels}}} {size * MB}\nnode_filesystem_free_bytes{{{labels}}} {MB}\n"

    mounts = [
        ("/dev/sda1", "ext4", "/", 100),
        ("/dev/sda1", "ext4", "/var/lib/bind", 100),
        ("tmpfs", "tmpfs", "/run", 7),
        ("overlay", "overlay", "/x", 9),
        ("/dev/sdb", "xfs", "/data", 50),
        ("nas:/x", "nfs4", "/nas", 999),
    ]
    page = "".join(mount(*one) for one in mounts) + 'node_disk_read_bytes_total{device="sda"} 1\n'
    host = Target("h/node", "h", Exporter.NODE, "http://h/")
    found = Scraper(host).at(0, page)
    assert (found[Kind.HOST]["h"]["disk_size"], found[Kind.HOST]["h"]["disk_used"]) == (150, 148)
    assert found[Kind.DISK]["h/sda"]["size"] == 100 * 1024


def test_values_the_page_calls_nan_stay_unknown_and_spoil_nothing_else(node: Target, node_page: bytes) -> None:
    page = node_page.replace(b"node_memory_MemAvailable_bytes 1.6536121344e+10", b"node_memory_MemAvailable_bytes NaN")
    host = Scraper(node).at(0, page)[Kind.HOST]["host-1"]
    assert np.isnan(host["mem_used"])
    assert not np.isnan(host["mem_size"])
