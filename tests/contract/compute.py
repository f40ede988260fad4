"""What every ComputeDriver does, whatever runs the VMs. A driver's test module says `from tests.contract.compute import
*` and has a fixture `bench`."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from core.compute.ceph_keys import new_key
from core.drivers.compute import (
    ComputeDriver,
    DiskWish,
    FromImage,
    FromVm,
    NicWish,
    Power,
    Refused,
    Stopped,
    Unreachable,
    VmAt,
    VmWish,
    VolumeWish,
)

__all__ = [
    "Bench",
    "Watching",
    "a_wish",
    "test_a_backup_survives_its_vm_and_brings_the_disks_back",
    "test_a_clone_is_a_vm_of_its_own",
    "test_a_disk_comes_grows_and_goes",
    "test_a_disk_that_is_kept_becomes_a_volume_and_comes_back",
    "test_a_host_that_does_not_answer_is_not_a_host_without_vms",
    "test_a_new_vm_is_complete_and_off",
    "test_a_nic_comes_and_goes",
    "test_a_running_vm_is_not_cloned",
    "test_a_snapshot_brings_disks_size_and_power_back",
    "test_a_stopped_clone_leaves_nothing_and_the_template_as_it_was",
    "test_a_stopped_creation_leaves_nothing",
    "test_a_vm_may_run_vms_inside_it",
    "test_a_volume_and_its_user_may_be_asked_for_twice_and_go_twice",
    "test_everything_may_be_asked_for_twice",
    "test_only_running_guests_can_be_asked",
    "test_power_is_what_was_asked_for",
    "test_size_follows",
    "test_what_is_not_there_is_nothing_and_goes_without_a_word",
]


@dataclass
class Watching:
    """Stops when it is told to, and remembers what it heard."""

    stop: bool = False
    heard: list[float] = field(default_factory=list)

    def progress(self, percent: float) -> None:
        self.heard.append(percent)

    def stopping(self) -> bool:
        return self.stop


@dataclass(frozen=True)
class Bench:
    """`cut`: the host is there and does not answer any more. `slow`: the same hosts through a driver that takes its
    time."""

    driver: ComputeDriver
    slow: ComputeDriver
    host_id: str
    cut: Callable[[str], None]

    def make(self, name: str = "one") -> VmAt:
        self.driver.ensure_vm(self.host_id, a_wish(name), Watching())
        return VmAt(self.host_id, f"vm-{name}")


def a_wish(name: str = "one") -> VmWish:
    return VmWish(
        vm_id=f"vm-{name}", tenant_id="t", name=name, domain_uuid=str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
        source=FromImage("debian-12"), vcpus=2, memory_mb=1024, largest_vcpus=4, largest_memory_mb=2048,
        disks=(DiskWish(id=f"disk-{name}", device="vda", size_gb=2, is_system=True),),
        nics=(NicWish(id=f"nic-{name}", device=f"tap-{name}", mac="52:54:00:00:00:01"),),
    )  # fmt: skip


def test_a_new_vm_is_complete_and_off(bench: Bench) -> None:
    at = bench.make()
    facts = bench.driver.look(at)
    assert facts is not None
    assert (facts.complete, facts.power, facts.vcpus, facts.memory_mb) == (True, Power.OFF, 2, 1024)
    assert [(disk.id, disk.device, disk.size_gb, disk.is_system) for disk in facts.disks] == [
        ("disk-one", "vda", 2, True)
    ]
    assert [nic.id for nic in facts.nics] == ["nic-one"]
    report = bench.driver.report([bench.host_id])
    assert report[bench.host_id].vms["vm-one"] == facts
    assert report[bench.host_id].host.memory_mb > 0


def test_what_is_not_there_is_nothing_and_goes_without_a_word(bench: Bench) -> None:
    nowhere = VmAt(bench.host_id, "vm-none")
    assert bench.driver.look(nowhere) is None
    bench.driver.ensure_gone(nowhere)
    with pytest.raises(Refused):
        bench.driver.ensure_on(nowhere)


def test_everything_may_be_asked_for_twice(bench: Bench) -> None:
    at = bench.make()
    driver, disk = bench.driver, DiskWish(id="d2", device="vdb", size_gb=1)
    for _ in range(2):
        bench.make()
        driver.ensure_on(at)
        driver.ensure_disk(at, disk)
        driver.ensure_snapshot(at, "s1", Watching())
        driver.ensure_backup(at, "b1", Watching())
    facts = driver.look(at)
    assert facts is not None
    assert (facts.power, len(facts.disks), facts.snapshots) == (Power.ON, 2, ("s1",))
    for _ in range(2):
        driver.ensure_backups_gone(bench.host_id, ["b1"])
        driver.ensure_snapshot_gone(at, "s1")
        driver.ensure_disk_gone(at, "d2")
        driver.ensure_off(at)
    for _ in range(2):
        driver.ensure_gone(at)
        driver.ensure_disk_gone(at, "d2")
        driver.ensure_nic_gone(at, "nic-one")
        driver.ensure_snapshot_gone(at, "s1")
    assert driver.look(at) is None


def test_power_is_what_was_asked_for(bench: Bench) -> None:
    at, driver = bench.make(), bench.driver
    driver.ensure_on(at)
    driver.reboot(at, 60, Watching())
    assert _power(bench, at) is Power.ON
    driver.ensure_shut_down(at, 60, Watching())
    assert _power(bench, at) is Power.OFF
    driver.ensure_on(at)
    driver.ensure_off(at)
    assert _power(bench, at) is Power.OFF


def test_only_running_guests_can_be_asked(bench: Bench) -> None:
    at, driver = bench.make(), bench.driver
    for ask in (
        lambda: driver.reboot(at, 60, Watching()),
        lambda: driver.set_admin_password(at, "root", "secret"),
        lambda: driver.vnc(at),
    ):
        with pytest.raises(Refused):
            ask()
    driver.ensure_on(at)
    driver.set_admin_password(at, "root", "secret")
    driver.set_vnc_password(at, "secret")
    driver.wake_agent(at, 60, Watching())
    assert 0 < driver.vnc(at).port < 65536


def test_size_follows(bench: Bench) -> None:
    at, driver = bench.make(), bench.driver
    facts = driver.ensure_size(at, 1, 512)
    assert (facts.vcpus, facts.memory_mb) == (1, 512)
    driver.ensure_on(at)
    with pytest.raises(Refused):
        driver.ensure_size(at, 1, 256)
    if driver.capabilities.grow_vcpus_live:
        assert driver.ensure_size(at, 2, 512).vcpus == 2


def test_a_disk_comes_grows_and_goes(bench: Bench) -> None:
    at, driver = bench.make(), bench.driver
    driver.ensure_on(at)
    assert driver.ensure_disk(at, DiskWish(id="d2", device="vdb", size_gb=1)).size_gb == 1
    assert driver.ensure_disk_size(at, "d2", 3).size_gb == 3
    assert driver.ensure_disk_size(at, "d2", 1).size_gb == 3, "a driver never shrinks a disk"
    driver.ensure_disk_gone(at, "d2")
    assert _disks(bench, at) == {"disk-one": 2}
    with pytest.raises(Refused):
        driver.ensure_disk_size(at, "d2", 5)


def test_a_disk_that_is_kept_becomes_a_volume_and_comes_back(bench: Bench) -> None:
    at, driver = bench.make(), bench.driver
    driver.ensure_disk(at, DiskWish(id="d2", device="vdb", size_gb=1))
    driver.ensure_disk_gone(at, "d2", keep=True)
    driver.ensure_disk(at, DiskWish(id="d2", device="vdc", size_gb=1, volume_id="d2"))
    driver.ensure_volume(bench.host_id, VolumeWish(id="free", size_gb=1))
    driver.ensure_disk(at, DiskWish(id="free", device="vdd", size_gb=9, volume_id="free"))
    assert _disks(bench, at) == {"disk-one": 2, "d2": 1, "free": 1}


def test_a_volume_and_its_user_may_be_asked_for_twice_and_go_twice(bench: Bench) -> None:
    wish = VolumeWish(id="mounted", size_gb=1, ceph_key=new_key(datetime(2026, 1, 1, tzinfo=UTC)))
    assert wish.ceph_key is not None
    assert wish.ceph_key not in repr(wish)
    for _ in range(2):
        bench.driver.ensure_volume(bench.host_id, wish)
    for _ in range(2):
        bench.driver.ensure_volume_gone(bench.host_id, "mounted")


def test_a_nic_comes_and_goes(bench: Bench) -> None:
    at, driver = bench.make(), bench.driver
    wish = NicWish(id="n2", device="tap-2", mac="52:54:00:00:00:02", network_id="vpc-1", position=1)
    driver.ensure_nic(at, wish)
    driver.ensure_nic(at, replace(wish, network_id="vpc-2"))
    facts = driver.look(at)
    assert facts is not None
    assert {nic.id: nic.network_id for nic in facts.nics} == {"nic-one": None, "n2": "vpc-2"}
    driver.ensure_nic_gone(at, "n2")
    driver.ensure_nic_gone(at, "n2")
    facts = driver.look(at)
    assert facts is not None
    assert [nic.id for nic in facts.nics] == ["nic-one"]


def test_a_snapshot_brings_disks_size_and_power_back(bench: Bench) -> None:
    at, driver = bench.make(), bench.driver
    driver.ensure_on(at)
    before = driver.look(at)
    driver.ensure_snapshot(at, "s1", Watching())
    driver.ensure_disk(at, DiskWish(id="d2", device="vdb", size_gb=1))
    driver.ensure_off(at)
    driver.ensure_size(at, 1, 512)
    after = driver.revert(at, "s1", Watching())
    assert before is not None
    assert after == replace(before, snapshots=("s1",))
    assert driver.look(at) == after
    driver.ensure_snapshot_gone(at, "s1")
    with pytest.raises(Refused):
        driver.revert(at, "s1", Watching())


def test_a_backup_survives_its_vm_and_brings_the_disks_back(bench: Bench) -> None:
    at, driver = bench.make(), bench.driver
    driver.ensure_disk(at, DiskWish(id="d2", device="vdb", size_gb=1))
    assert driver.ensure_backup(at, "b1", Watching()).size_gb >= 1
    driver.ensure_disk_gone(at, "d2")
    driver.ensure_snapshot(at, "s1", Watching())
    facts = driver.restore(at, "b1", Watching())
    assert ({disk.id for disk in facts.disks}, facts.snapshots) == ({"disk-one", "d2"}, ())
    driver.ensure_on(at)
    with pytest.raises(Refused):
        driver.restore(at, "b1", Watching())
    driver.ensure_gone(at)
    driver.ensure_backups_gone(bench.host_id, ["b1", "never"])


def test_a_clone_is_a_vm_of_its_own(bench: Bench) -> None:
    template, driver = bench.make("template"), bench.driver
    clone = VmAt(bench.host_id, "vm-clone")
    driver.ensure_vm(bench.host_id, replace(a_wish("clone"), source=FromVm(template)), Watching())
    driver.ensure_gone(template)
    driver.ensure_on(clone)
    assert _power(bench, clone) is Power.ON


def test_a_vm_may_run_vms_inside_it(bench: Bench) -> None:
    if not bench.driver.capabilities.nested:
        pytest.skip("this driver refuses it before a task starts")
    for nested in (False, True):
        name = f"nested-{nested}"
        facts = bench.driver.ensure_vm(bench.host_id, replace(a_wish(name), nested=nested), Watching())
        assert facts.nested is nested


def test_a_stopped_clone_leaves_nothing_and_the_template_as_it_was(bench: Bench) -> None:
    template = bench.make("template")
    before = bench.driver.look(template)
    with pytest.raises(Stopped):
        bench.slow.ensure_vm(bench.host_id, replace(a_wish(), source=FromVm(template)), Watching(stop=True))
    assert bench.driver.look(VmAt(bench.host_id, "vm-one")) is None
    assert bench.driver.look(template) == before


def test_a_running_vm_is_not_cloned(bench: Bench) -> None:
    template = bench.make("template")
    bench.driver.ensure_on(template)
    with pytest.raises(Refused):
        bench.driver.ensure_vm(bench.host_id, replace(a_wish(), source=FromVm(template)), Watching())


def test_a_stopped_creation_leaves_nothing(bench: Bench) -> None:
    with pytest.raises(Stopped):
        bench.slow.ensure_vm(bench.host_id, a_wish(), Watching(stop=True))
    assert bench.driver.look(VmAt(bench.host_id, "vm-one")) is None


def test_a_host_that_does_not_answer_is_not_a_host_without_vms(bench: Bench) -> None:
    at = bench.make()
    bench.cut(bench.host_id)
    assert bench.driver.report([bench.host_id]) == {}
    with pytest.raises(Unreachable):
        bench.driver.look(at)
    with pytest.raises(Unreachable):
        bench.driver.ensure_on(at)


def _power(bench: Bench, at: VmAt) -> Power:
    facts = bench.driver.look(at)
    assert facts is not None
    return facts.power


def _disks(bench: Bench, at: VmAt) -> dict[str, int]:
    facts = bench.driver.look(at)
    assert facts is not None
    return {disk.id: disk.size_gb for disk in facts.disks}
