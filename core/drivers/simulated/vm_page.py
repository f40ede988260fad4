"""The page of a libvirt exporter: the VMs of one host.

Names, labels and texts are those of Debian's prometheus-libvirt-exporter. It has no memory used inside the guest and no
disk sizes; these come in the names that other libvirt exporters agree on, with the labels of this one:

* `libvirt_domain_memory_stats_{actual_balloon,available,usable,unused,rss}_bytes` (inovex/prometheus-libvirt-exporter
  and Tinkoff/libvirt-exporter): memory used in the guest is available - usable;
* `libvirt_domain_block_stats_capacity_bytes` (both), `libvirt_domain_block_stats_allocation` and
  `libvirt_domain_block_stats_physicalsize_bytes` (Tinkoff): allocation is in bytes though its name does not say so.

A VM that is off has `libvirt_domain_state_code` 5 (VIR_DOMAIN_SHUTOFF), its sizes, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from core.drivers.simulated.chance import Floats
from core.drivers.simulated.datacentre import SimVm
from core.drivers.simulated.load import Channel, Ints
from core.drivers.simulated.reading import Reading
from core.drivers.simulated.sheet import Family, Sheet, labels

RUNNING: Final = 1
SHUTOFF: Final = 5
READ_SIZE: Final = 24_576.0
WRITE_SIZE: Final = 12_288.0
"""Bytes of an average request."""
PACKET_SIZE: Final = 720.0
_SYSTEM_SHARE: Final = 0.35
"""Part of a VM's disk traffic that its system disk takes, when it has others."""
_FIRST_NIC_SHARE: Final = 0.8
"""Part of a VM's network traffic that its first NIC takes, when it has others."""

_BLOCK = "libvirt_domain_block_stats_"
_NET = "libvirt_domain_interface_stats_"
_INFO = "libvirt_domain_info_"
_MEMORY = "libvirt_domain_memory_stats_"

DISKS: Final = (
    Family(f"{_BLOCK}allocation", "gauge", "Offset of the highest written sector on a block device."),
    Family(f"{_BLOCK}capacity_bytes", "gauge", "Logical size in bytes of the block device backing image."),
    Family(f"{_BLOCK}physicalsize_bytes", "gauge", "Physical size in bytes of the container of the backing image."),
    Family(f"{_BLOCK}read_bytes_total", "counter", "Number of bytes read from a block device, in bytes."),
    Family(f"{_BLOCK}read_requests_total", "counter", "Number of read requests from a block device."),
    Family(f"{_BLOCK}write_bytes_total", "counter", "Number of bytes written from a block device, in bytes."),
    Family(f"{_BLOCK}write_requests_total", "counter", "Number of write requests from a block device."),
)
CPU: Final = (
    Family(f"{_INFO}cpu_time_seconds_total", "counter", "Amount of CPU time used by the domain, in seconds.", "%.2f"),
)
SIZES: Final = (
    Family(f"{_INFO}maximum_memory_bytes", "gauge", "Maximum allowed memory of the domain, in bytes."),
    Family(f"{_INFO}virtual_cpus", "gauge", "Number of virtual CPUs for the domain."),
)
NICS: Final = (
    Family(f"{_NET}receive_bytes_total", "counter", "Number of bytes received on a network interface, in bytes."),
    Family(f"{_NET}receive_drops_total", "counter", "Number of packet receive drops on a network interface."),
    Family(f"{_NET}receive_errors_total", "counter", "Number of packet receive errors on a network interface."),
    Family(f"{_NET}receive_packets_total", "counter", "Number of packets received on a network interface."),
    Family(f"{_NET}transmit_bytes_total", "counter", "Number of bytes transmitted on a network interface, in bytes."),
    Family(f"{_NET}transmit_drops_total", "counter", "Number of packet transmit drops on a network interface."),
    Family(f"{_NET}transmit_errors_total", "counter", "Number of packet transmit errors on a network interface."),
    Family(f"{_NET}transmit_packets_total", "counter", "Number of packets transmitted on a network interface."),
)
MEMORY: Final = (
    Family(f"{_INFO}memory_usage_bytes", "gauge", "Memory usage of the domain, in bytes."),
    Family(f"{_MEMORY}actual_balloon_bytes", "gauge", "Current balloon value (in bytes)."),
    Family(f"{_MEMORY}available_bytes", "gauge", "The total amount of usable memory as seen by the domain, in bytes."),
    Family(f"{_MEMORY}rss_bytes", "gauge", "Resident Set Size of the process running the domain, in bytes."),
    Family(f"{_MEMORY}unused_bytes", "gauge", "Memory left completely unused by the domain, in bytes."),
    Family(
        f"{_MEMORY}usable_bytes", "gauge", "Memory usable by the domain (corresponds to 'Available' in /proc/meminfo)."
    ),
)
STATE: Final = (Family("libvirt_domain_state_code", "gauge", "State of the domain."),)
HOST: Final = (
    Family("libvirt_domains_number", "gauge", "Number of domains."),
    Family("libvirt_up", "gauge", "Whether scraping libvirt's metrics was successful."),
)


def spread(vms: Sequence[SimVm]) -> tuple[Ints, Floats, Ints, Floats]:
    """Owner (position in `vms`) and share of the owner's traffic of every disk, and of every NIC."""
    disks = [(i, _share(len(vm.disks), n, _SYSTEM_SHARE)) for i, vm in enumerate(vms) for n in range(len(vm.disks))]
    ports = [(i, _share(len(vm.nics), n, _FIRST_NIC_SHARE)) for i, vm in enumerate(vms) for n in range(len(vm.nics))]
    return (
        np.array([i for i, _ in disks], np.int64), np.array([share for _, share in disks]),
        np.array([i for i, _ in ports], np.int64), np.array([share for _, share in ports]),
    )  # fmt: skip


def _share(count: int, position: int, first: float) -> float:
    if count == 1:
        return 1.0
    return first if position == 0 else (1 - first) / (count - 1)


class VmPage:
    """`running[i]`: whether VM i of the host runs. Another set of running VMs needs another page."""

    def __init__(self, vms: Sequence[SimVm], running: Sequence[bool]) -> None:
        self.running = tuple(running)
        here = [vm for vm, on in zip(vms, running, strict=True) if on]
        self._here = np.flatnonzero(np.array(running, bool))
        self._states = np.where(np.array(running, bool), RUNNING, SHUTOFF)
        self._all = len(vms)
        self._disk_owner, self._disk_share, self._nic_owner, self._nic_share = spread(here)
        self._capacity = np.array([disk.size_gb for vm in here for disk in vm.disks], np.float64) * 2.0**30
        self._disks_here = np.array([on for vm, on in zip(vms, running, strict=True) for _ in vm.disks], bool)
        everyone = [_of_vm(vm) for vm in vms]
        awake = [_of_vm(vm) for vm in here]
        disks = [_of_disk(vm, position) for vm in here for position in range(len(vm.disks))]
        nics = [_of_nic(vm, position) for vm in here for position in range(len(vm.nics))]
        blocks = (
            (DISKS, disks),
            (CPU, awake),
            (SIZES, everyone),
            (NICS, nics),
            (MEMORY, awake),
            (STATE, everyone),
            (HOST, [""]),
        )
        rows = [(family, label_sets) for families, label_sets in blocks for family in families]
        self._sheet = Sheet(sorted(rows, key=lambda row: row[0].name))

    def render(self, reading: Reading) -> bytes:
        """One number per label set and family."""
        here = self._here
        work = np.maximum(reading.counters[:, here], 0.0)
        memory, used = reading.memory[here], reading.memory_used[here]
        numbers: dict[str, ArrayLike] = {
            f"{_INFO}cpu_time_seconds_total": work[Channel.CPU],
            f"{_INFO}maximum_memory_bytes": reading.memory,
            f"{_INFO}virtual_cpus": reading.vcpus,
            "libvirt_domain_state_code": self._states,
            "libvirt_domains_number": self._all,
            "libvirt_up": 1,
        }
        numbers |= self._block_numbers(work, reading.space_used[self._disks_here])
        numbers |= self._net_numbers(work)
        numbers |= _memory_numbers(memory, used)
        return self._sheet.render(numbers)

    def _block_numbers(self, work: Floats, space_used: Floats) -> dict[str, ArrayLike]:
        read = work[Channel.READ, self._disk_owner] * self._disk_share
        written = work[Channel.WRITE, self._disk_owner] * self._disk_share
        return {
            f"{_BLOCK}allocation": space_used,
            f"{_BLOCK}capacity_bytes": self._capacity,
            f"{_BLOCK}physicalsize_bytes": space_used,
            f"{_BLOCK}read_bytes_total": read,
            f"{_BLOCK}read_requests_total": read / READ_SIZE,
            f"{_BLOCK}write_bytes_total": written,
            f"{_BLOCK}write_requests_total": written / WRITE_SIZE,
        }

    def _net_numbers(self, work: Floats) -> dict[str, ArrayLike]:
        received = work[Channel.RECEIVED, self._nic_owner] * self._nic_share
        sent = work[Channel.SENT, self._nic_owner] * self._nic_share
        nothing = np.zeros_like(received)
        return {
            f"{_NET}receive_bytes_total": received,
            f"{_NET}receive_drops_total": nothing,
            f"{_NET}receive_errors_total": nothing,
            f"{_NET}receive_packets_total": received / PACKET_SIZE,
            f"{_NET}transmit_bytes_total": sent,
            f"{_NET}transmit_drops_total": nothing,
            f"{_NET}transmit_errors_total": nothing,
            f"{_NET}transmit_packets_total": sent / PACKET_SIZE,
        }


def _memory_numbers(memory: Floats, used: Floats) -> dict[str, ArrayLike]:
    """The kernel of the guest keeps 2 % for itself; 60 % of what it could hand out is really free, the rest caches
    files."""
    available = memory * 0.98
    usable = available - used
    return {
        f"{_INFO}memory_usage_bytes": memory,
        f"{_MEMORY}actual_balloon_bytes": memory,
        f"{_MEMORY}available_bytes": available,
        f"{_MEMORY}rss_bytes": memory - usable * 0.6,
        f"{_MEMORY}unused_bytes": usable * 0.6,
        f"{_MEMORY}usable_bytes": usable,
    }


def _of_vm(vm: SimVm) -> str:
    return labels(domain=vm.id, uuid=vm.uuid)


def _of_disk(vm: SimVm, position: int) -> str:
    disk = vm.disks[position]
    return labels(domain=vm.id, source_file=disk.path, target_device=disk.device, uuid=vm.uuid)


def _of_nic(vm: SimVm, position: int) -> str:
    nic = vm.nics[position]
    return labels(domain=vm.id, source_bridge=nic.bridge, target_device=nic.device, uuid=vm.uuid)
