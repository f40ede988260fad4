"""Which devices count."""

from __future__ import annotations

import pytest

from collector.devices import disk_of, file_systems, is_nic, parent, whole_disks


def test_partitions_and_stacked_devices_are_not_counted_beside_their_disks() -> None:
    devices = [
        "sda",
        "sda1",
        "sda15",
        "nvme0n1",
        "nvme0n1p2",
        "nvme0c0n1",
        "dm-0",
        "md127",
        "loop3",
        "zram0",
        "sr0",
        "vdb",
    ]
    assert whole_disks(devices) == {"sda", "nvme0n1", "vdb"}


def test_a_partition_without_its_disk_stands_for_it() -> None:
    assert whole_disks(["xvda1", "xvda2"]) == {"xvda1", "xvda2"}


@pytest.mark.parametrize(
    "name", ["eth0", "ens3", "enp129s0f1np1", "eno1", "em2", "p4p1", "ib0", "wlan0", "lan1", "usb0", "rename2"]
)
def test_physical_nics(name: str) -> None:
    assert is_nic(name)


VIRTUAL = """
lo veth12ab tap0 tapa7e2fe95-a7 vnet46 macvtap0 virbr0 virbr0-nic br0 br-int br-4f1d docker0 cni0 flannel.1 cali12ab
tun0 wg0 sit0 tunl0 vxlan100 genev_sys_6081 bond0 team0 dummy0 ifb1 eth0.100 bond0.7 ovs-system lxcbr0 qvo12-a
"""


@pytest.mark.parametrize("name", VIRTUAL.split())
def test_virtual_nics(name: str) -> None:
    assert not is_nic(name)


def test_parents() -> None:
    assert [parent(name) for name in ("sda1", "nvme0n1p3", "mmcblk0p1", "sda", "nvme0n1", "dm-0")] == [
        "sda", "nvme0n1", "mmcblk0", None, None, None,
    ]  # fmt: skip


def test_a_pool_is_counted_once() -> None:
    mounts = [{"device": f"tank/{name}", "fstype": "zfs", "mountpoint": f"/{name}"} for name in ("home", "var", "a")]
    assert file_systems(mounts) == {"tank": "/a"}


def test_the_disk_behind_a_file_system() -> None:
    assert disk_of("/dev/vda", {"vda"}) == "vda"
    assert disk_of("/dev/nvme0n1p2", {"nvme0n1"}) == "nvme0n1"
    assert disk_of("/dev/mapper/root", {"vda"}) is None
