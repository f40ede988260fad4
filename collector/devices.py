"""Which devices of a host are hardware: everything else would be counted twice, or is not the host's at all.

* Disks: whole disks. Not their partitions, not what is stacked on them (device mapper, md), not loop, RAM, optical,
  and not the hidden paths of NVMe multipath. A partition whose disk is not on the page (`xvda1` on some clouds)
  stands for the disk.
* NICs: physical ones. Not the loopback, taps and bridges of VMs and containers, tunnels, VLANs, and not bonds or
  teams, whose members are counted.
* File systems: local and on a disk, each device once however often it is mounted (bind mounts, subvolumes); a ZFS
  pool once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

_NO_DISK: Final = re.compile(
    r"(?:loop|ram|zram|fd|sr|dm-|md|drbd|bcache|zd)\d.*|nvme\d+c\d+n\d+.*|mmcblk\d+(?:boot|rpmb).*"
)
_PARTITION: Final = re.compile(r"((?:sd|vd|hd|xvd)[a-z]+)\d+|((?:nvme\d+n|mmcblk|nbd)\d+)p\d+")
_NO_NIC: Final = re.compile(
    r"lo|(?:veth|tap|vnet|macvtap|vhost|virbr|br|docker|podman|cni|flannel|cali|cilium|lxc|lxcbr|lxdbr|ovs|kube|nodelocaldns|weave|"
    r"tun|wg|ppp|sit|ip6tnl|ip6gre|ip6_vti|ip_vti|tunl|gre|gretap|erspan|vxlan|geneve|genev_sys|ipvlan|macvlan|vmnet|vboxnet|"
    r"bond|team|dummy|ifb|nlmon|tailscale|zt)(?:[-_\d].*)?|(?:tap|veth|cali|lxc|qbr|qvb|qvo|br)[-0-9a-f]+|[^.]+\.\d+"
)
LOCAL: Final = frozenset(
    {"bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "fuseblk", "hfs", "hfsplus", "jfs", "nilfs2", "ntfs"}
    | {"ntfs3", "reiserfs", "udf", "ufs", "vfat", "xfs", "zfs"}
)
"""Types of file systems that lie on a disk of the machine."""


def whole_disks(devices: Collection[str]) -> frozenset[str]:
    """Of the block devices of one page, those whose I/O adds up to the host's."""
    return frozenset(name for name in devices if not _NO_DISK.fullmatch(name) and parent(name) not in devices)


def parent(device: str) -> str | None:
    """The disk of a partition, by its name; None if the name is no partition's."""
    match = _PARTITION.fullmatch(device)
    return (match[1] or match[2]) if match else None


def is_nic(device: str) -> bool:
    return not _NO_NIC.fullmatch(device)


def file_systems(mounts: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Device -> the mount point by which it is counted (the shortest), from the labels of the mounts; local ones
    only."""
    chosen: dict[str, str] = {}
    for labels in mounts:
        device, point = labels.get("device", ""), labels.get("mountpoint", "")
        if labels.get("fstype") not in LOCAL:
            continue
        key = device.partition("/")[0] if labels["fstype"] == "zfs" else device
        if key not in chosen or (len(point), point) < (len(chosen[key]), chosen[key]):
            chosen[key] = point
    return chosen


def disk_of(device: str, disks: Collection[str]) -> str | None:
    """The disk that a file system's device lies on, if it is one of `disks`; None behind a device mapper or a pool."""
    name = device.removeprefix("/dev/")
    return next((disk for disk in (name, parent(name)) if disk in disks), None)
