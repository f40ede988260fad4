"""The one table of metric families and what we take from them. A family that is not in it costs nothing.

Names were verified on captured pages (node_exporter 1.5; Debian's prometheus-libvirt-exporter) and in the sources and
READMEs of inovex/prometheus-libvirt-exporter, Tinkoff/libvirt-exporter and their forks (kumina, AlexZzz, fitbeard,
ntk148v).

Decisions, each against what the operating system itself says:

* CPU of a host: in use = all time but idle and iowait, over all time, as `top` and `mpstat` count it: a core that
  waits for a disk is free for others. `node_cpu_seconds_total` has no guest modes (they are part of user), so nothing
  counts twice.
* Memory of a host: MemTotal - MemAvailable, the kernel's own estimate (`free`'s "used" would call page cache used).
* Memory of a VM: what its guest sees (`available`) less what the guest could still use (`usable`, its MemAvailable;
  an old balloon driver gives only `unused`). Without guest statistics it is *not measured*; the allocation is never
  passed off as use.
* CPU of a VM: CPU time over its vCPUs. The emulator's own threads are in it, so it is capped at 100.
* Network of a VM: libvirt documents interface statistics as the *domain's* view ("The returned statistics are always
  from domain POV", virNetDevTapInterfaceStats; `swapped` for taps), so receive = down = what the guest receives. A
  tap's own counters on node_exporter's page are the other way round, and are not used.
* Space of a host: file systems (`collector.devices`); used = size - free, as `df`. Of a VM's disk: its capacity and
  the highest byte that was written (`allocation`, bytes in spite of its name), which says nothing about the guest's
  file systems.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from core.hosts.targets import Exporter
from core.timeseries.fields import Kind

Labels = Mapping[str, str]


class Quantity(StrEnum):
    """What a page tells about an object, before it becomes fields. Bytes and seconds, as on the page."""

    BOOT = "boot"
    STATE = "state"
    PRESENT = "present"
    CPUS = "cpus"
    CPU_TIME = "cpu_time"
    CPU_FREE = "cpu_free"
    MEMORY = "memory"
    MEMORY_AVAILABLE = "memory_available"
    MEMORY_SEEN = "memory_seen"
    MEMORY_USABLE = "memory_usable"
    MEMORY_UNUSED = "memory_unused"
    SIZE = "size"
    FREE = "free"
    ALLOCATED = "allocated"
    READ = "read"
    WRITTEN = "written"
    READS = "reads"
    WRITES = "writes"
    RECEIVED = "received"
    SENT = "sent"


class Take(StrEnum):
    """GAUGE: the value. RATE: its growth per second, reset-safe. COUNT: how many series there are."""

    GAUGE = "gauge"
    RATE = "rate"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Family:
    """Series of `name` (only those with one of `values` in `label`, if given) are summed into `quantity` of the
    object."""

    name: str
    kind: Kind
    quantity: Quantity
    take: Take = Take.GAUGE
    label: str = ""
    values: frozenset[str] = frozenset()

    def takes(self, labels: Labels) -> bool:
        return not self.label or labels.get(self.label) in self.values


def _node(rest: str, kind: Kind, quantity: Quantity, take: Take = Take.GAUGE) -> Family:
    return Family(f"node_{rest}", kind, quantity, take)


def _domain(rest: str, kind: Kind, quantity: Quantity, take: Take = Take.GAUGE) -> Family:
    return Family(f"libvirt_domain_{rest}", kind, quantity, take)


_CPU = "node_cpu_seconds_total"
_NODE = (
    _node("boot_time_seconds", Kind.HOST, Quantity.BOOT),
    Family(_CPU, Kind.HOST, Quantity.CPU_TIME, Take.RATE),
    Family(_CPU, Kind.HOST, Quantity.CPU_FREE, Take.RATE, "mode", frozenset({"idle", "iowait"})),
    Family(_CPU, Kind.HOST, Quantity.CPUS, Take.COUNT, "mode", frozenset({"idle"})),
    _node("memory_MemTotal_bytes", Kind.HOST, Quantity.MEMORY),
    _node("memory_MemAvailable_bytes", Kind.HOST, Quantity.MEMORY_AVAILABLE),
    _node("filesystem_size_bytes", Kind.HOST, Quantity.SIZE),
    _node("filesystem_free_bytes", Kind.HOST, Quantity.FREE),
    _node("disk_read_bytes_total", Kind.DISK, Quantity.READ, Take.RATE),
    _node("disk_written_bytes_total", Kind.DISK, Quantity.WRITTEN, Take.RATE),
    _node("disk_reads_completed_total", Kind.DISK, Quantity.READS, Take.RATE),
    _node("disk_writes_completed_total", Kind.DISK, Quantity.WRITES, Take.RATE),
    _node("network_receive_bytes_total", Kind.NIC, Quantity.RECEIVED, Take.RATE),
    _node("network_transmit_bytes_total", Kind.NIC, Quantity.SENT, Take.RATE),
)

_LIBVIRT = (
    _domain("state_code", Kind.VM, Quantity.STATE),  # Debian
    _domain("info_vstate", Kind.VM, Quantity.STATE),  # Tinkoff
    _domain("info_state", Kind.VM, Quantity.STATE),  # inovex
    _domain("timed_out", Kind.VM, Quantity.PRESENT),  # inovex: known, and its statistics could not be had
    _domain("info_cpu_time_seconds_total", Kind.VM, Quantity.CPU_TIME, Take.RATE),
    _domain("info_virtual_cpus", Kind.VM, Quantity.CPUS),
    _domain("info_maximum_memory_bytes", Kind.VM, Quantity.MEMORY),
    _domain("memory_stats_available_bytes", Kind.VM, Quantity.MEMORY_SEEN),
    _domain("memory_stats_usable_bytes", Kind.VM, Quantity.MEMORY_USABLE),
    _domain("memory_stats_unused_bytes", Kind.VM, Quantity.MEMORY_UNUSED),
    _domain("stat_memory_available_bytes", Kind.VM, Quantity.MEMORY_SEEN),  # zhangjianweibj and older Debian
    _domain("stat_memory_usable_bytes", Kind.VM, Quantity.MEMORY_USABLE),
    _domain("stat_memory_unused_bytes", Kind.VM, Quantity.MEMORY_UNUSED),
    _domain("block_stats_capacity_bytes", Kind.DISK, Quantity.SIZE),
    _domain("block_stats_allocation", Kind.DISK, Quantity.ALLOCATED),  # Tinkoff
    _domain("block_stats_read_bytes_total", Kind.DISK, Quantity.READ, Take.RATE),
    _domain("block_stats_write_bytes_total", Kind.DISK, Quantity.WRITTEN, Take.RATE),
    _domain("block_stats_read_requests_total", Kind.DISK, Quantity.READS, Take.RATE),
    _domain("block_stats_write_requests_total", Kind.DISK, Quantity.WRITES, Take.RATE),
    _domain("interface_stats_receive_bytes_total", Kind.NIC, Quantity.RECEIVED, Take.RATE),
    _domain("interface_stats_transmit_bytes_total", Kind.NIC, Quantity.SENT, Take.RATE),
)

FAMILIES: Final[Mapping[Exporter, tuple[Family, ...]]] = {Exporter.NODE: _NODE, Exporter.LIBVIRT: _LIBVIRT}

DEVICE: Final[Mapping[Exporter, str]] = {Exporter.NODE: "device", Exporter.LIBVIRT: "target_device"}
"""The label that names a disk or NIC."""

MOUNTED: Final = frozenset({"node_filesystem_size_bytes", "node_filesystem_free_bytes"})

UUID_OF_DOMAIN: Final[Mapping[str, str]] = {
    "libvirt_domain_info_meta": "uuid",  # Tinkoff
    "libvirt_domain_openstack_info": "instance_id",  # inovex, in OpenStack
}
"""Families that tell a domain's UUID, and the label that does, for exporters whose series carry only the domain's
name."""

ALIVE: Final = "libvirt_up"
"""0: the exporter answers and cannot reach libvirt. Nothing else on the page is then to be believed."""

OFF: Final = (5.0, 6.0)
"""VIR_DOMAIN_SHUTOFF and VIR_DOMAIN_CRASHED: such a domain has no sample. A paused or suspended one has."""

WANTED: Final[Mapping[Exporter, frozenset[str]]] = {
    Exporter.NODE: frozenset(family.name for family in _NODE),
    Exporter.LIBVIRT: frozenset(family.name for family in _LIBVIRT) | UUID_OF_DOMAIN.keys() | {ALIVE},
}
