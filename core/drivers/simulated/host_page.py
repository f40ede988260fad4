"""The page of a node_exporter: one host. Names, labels and texts are those of Debian's prometheus-node-exporter 1.5.

As on a real hypervisor, the taps of its VMs and their bridge stand among its network devices, and what passes through a
tap also passes through the uplink.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from core.drivers.simulated.chance import Chance, Floats
from core.drivers.simulated.datacentre import SimHost, SimVm
from core.drivers.simulated.faults import MOUNTPOINTS
from core.drivers.simulated.load import Channel
from core.drivers.simulated.reading import Reading
from core.drivers.simulated.sheet import Family, Sheet, labels
from core.drivers.simulated.vm_page import PACKET_SIZE, READ_SIZE, WRITE_SIZE, spread

_MODES: Final = ("idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user")
_SPLIT: Final = np.array([0.0, 0.03, 0.0, 0.0, 0.02, 0.0, 0.13, 0.85])
"""What one busy second is made of; iowait comes on top of it, and idle is what is left."""
_GIB: Final = 2.0**30

CPU: Final = (
    Family("node_cpu_guest_seconds_total", "counter", "Seconds the CPUs spent in guests (VMs) for each mode.", "%.2f"),
    Family("node_cpu_seconds_total", "counter", "Seconds the CPUs spent in each mode.", "%.2f"),
)
DISKS: Final = (
    Family("node_disk_io_time_seconds_total", "counter", "Total seconds spent doing I/Os.", "%.3f"),
    Family("node_disk_read_bytes_total", "counter", "The total number of bytes read successfully."),
    Family("node_disk_read_time_seconds_total", "counter", "The total number of seconds spent by all reads.", "%.3f"),
    Family("node_disk_reads_completed_total", "counter", "The total number of reads completed successfully."),
    Family(
        "node_disk_write_time_seconds_total",
        "counter",
        "This is the total number of seconds spent by all writes.",
        "%.3f",
    ),
    Family("node_disk_writes_completed_total", "counter", "The total number of writes completed successfully."),
    Family("node_disk_written_bytes_total", "counter", "The total number of bytes written successfully."),
)
FILE_SYSTEMS: Final = (
    Family("node_filesystem_avail_bytes", "gauge", "Filesystem space available to non-root users in bytes."),
    Family(
        "node_filesystem_device_error",
        "gauge",
        "Whether an error occurred while getting statistics for the given device.",
    ),
    Family("node_filesystem_files", "gauge", "Filesystem total file nodes."),
    Family("node_filesystem_files_free", "gauge", "Filesystem total free file nodes."),
    Family("node_filesystem_free_bytes", "gauge", "Filesystem free space in bytes."),
    Family("node_filesystem_readonly", "gauge", "Filesystem read-only status."),
    Family("node_filesystem_size_bytes", "gauge", "Filesystem size in bytes."),
)
NETWORK: Final = (
    Family("node_network_receive_bytes_total", "counter", "Network device statistic receive_bytes."),
    Family("node_network_receive_drop_total", "counter", "Network device statistic receive_drop."),
    Family("node_network_receive_errs_total", "counter", "Network device statistic receive_errs."),
    Family("node_network_receive_packets_total", "counter", "Network device statistic receive_packets."),
    Family("node_network_transmit_bytes_total", "counter", "Network device statistic transmit_bytes."),
    Family("node_network_transmit_drop_total", "counter", "Network device statistic transmit_drop."),
    Family("node_network_transmit_errs_total", "counter", "Network device statistic transmit_errs."),
    Family("node_network_transmit_packets_total", "counter", "Network device statistic transmit_packets."),
)
SINGLE: Final = (
    Family("node_boot_time_seconds", "gauge", "Node boot time, in unixtime."),
    Family("node_context_switches_total", "counter", "Total number of context switches."),
    Family("node_forks_total", "counter", "Total number of forks."),
    Family("node_intr_total", "counter", "Total number of interrupts serviced."),
    Family("node_load1", "gauge", "1m load average.", "%.2f"),
    Family("node_load15", "gauge", "15m load average.", "%.2f"),
    Family("node_load5", "gauge", "5m load average.", "%.2f"),
    *(
        Family(f"node_memory_{name}_bytes", "gauge", f"Memory information field {name}_bytes.")
        for name in (
            "Buffers",
            "Cached",
            "MemAvailable",
            "MemFree",
            "MemTotal",
            "SReclaimable",
            "Shmem",
            "SwapFree",
            "SwapTotal",
        )
    ),
    Family("node_procs_blocked", "gauge", "Number of processes blocked waiting for I/O to complete."),
    Family("node_procs_running", "gauge", "Number of processes in runnable state."),
    Family("node_time_seconds", "gauge", "System time in seconds since epoch (1970).", "%.3f"),
    Family("node_timex_sync_status", "gauge", "Is clock synchronized to a reliable server (1 = yes, 0 = no)."),
)
UNAME: Final = Family(
    "node_uname_info", "gauge", "Labeled system information as provided by the uname system call.", "1"
)
OS: Final = Family(
    "node_os_info",
    "gauge",
    "A metric with a constant '1' value labeled by build_id, id, id_like, image_id, image_version, name, pretty_name, "
    "variant, variant_id, version, version_codename, version_id.",
    "1",
)
OS_PRODUCT: Final = "Debian GNU/Linux 12 (bookworm)"


class HostPage:
    """`vms`: those that live on the host. `speed`: bytes per second that keep its storage wholly busy."""

    def __init__(self, host: SimHost, vms: Sequence[SimVm], speed: float, seed: int) -> None:
        self._host = host
        shares = Chance(seed).uniform(f"threads {host.id}", host.threads, 0.9, 1.1)
        self._shares = shares / shares.sum()
        self._speed = speed
        _, _, self._nic_owner, self._nic_share = spread(vms)
        taps = [nic.device for vm in vms for nic in vm.nics]
        threads = [str(number) for number in range(host.threads)]
        guests = [labels(cpu=thread, mode=mode) for thread in threads for mode in ("nice", "user")]
        modes = [labels(cpu=thread, mode=mode) for thread in threads for mode in _MODES]
        mounts = zip(("/dev/sda2", "/dev/nvme0n1"), ("ext4", "xfs"), MOUNTPOINTS, strict=True)
        volumes = [labels(device=device, fstype=kind, mountpoint=mount) for device, kind, mount in mounts]
        rows = [(family, label_sets) for family, label_sets in zip(CPU, (guests, modes), strict=True)]
        rows += [(family, [labels(device="nvme0n1"), labels(device="sda")]) for family in DISKS]
        rows += [(family, volumes) for family in FILE_SYSTEMS]
        rows += [(family, [labels(device=name) for name in ("br0", "eno1", "lo", *taps)]) for family in NETWORK]
        rows += [(family, [""]) for family in SINGLE]
        rows += [(UNAME, [_uname(host)]), (OS, [_os()])]
        self._sheet = Sheet(sorted(rows, key=lambda row: row[0].name))

    def render(self, reading: Reading) -> bytes:
        uptime = max(reading.at - reading.boot, 0.0)
        numbers: dict[str, ArrayLike] = {UNAME.name: (), OS.name: ()}
        numbers |= self._cpu_numbers(reading, uptime)
        numbers |= self._disk_numbers(reading)
        numbers |= self._volume_numbers(reading)
        numbers |= self._net_numbers(reading)
        numbers |= self._memory_numbers(reading)
        return self._sheet.render(numbers)

    def _cpu_numbers(self, reading: Reading, uptime: float) -> dict[str, ArrayLike]:
        busy = float(reading.own[Channel.CPU] + reading.guests[Channel.CPU])
        modes = np.outer(busy * self._shares, _SPLIT)
        modes[:, 0] = np.maximum(uptime - modes.sum(axis=1), 0.0)
        guest = np.zeros((self._host.threads, 2))
        guest[:, 1] = float(reading.guests[Channel.CPU]) * self._shares * _SPLIT[-1]
        return {
            "node_cpu_guest_seconds_total": guest,
            "node_cpu_seconds_total": modes,
            "node_boot_time_seconds": reading.boot,
            "node_time_seconds": reading.at,
            "node_context_switches_total": busy * 4_000 + uptime * 900,
            "node_intr_total": busy * 2_500 + uptime * 600,
            "node_forks_total": uptime * 2,
            "node_load1": float(reading.demand[0]),
            "node_load5": float(reading.demand[1]),
            "node_load15": float(reading.demand[2]),
            "node_procs_blocked": 0,
            "node_procs_running": float(reading.demand[0]) + 1,
            "node_timex_sync_status": 1,
        }

    def _disk_numbers(self, reading: Reading) -> dict[str, ArrayLike]:
        """The images' device carries the VMs, the system disk the host itself."""
        read = np.array([reading.guests[Channel.READ], reading.own[Channel.READ]])
        written = np.array([reading.guests[Channel.WRITE], reading.own[Channel.WRITE]])
        return {
            "node_disk_io_time_seconds_total": (read + written) / self._speed,
            "node_disk_read_bytes_total": read,
            "node_disk_read_time_seconds_total": read / self._speed * 1.5,
            "node_disk_reads_completed_total": read / READ_SIZE,
            "node_disk_write_time_seconds_total": written / self._speed * 1.5,
            "node_disk_writes_completed_total": written / WRITE_SIZE,
            "node_disk_written_bytes_total": written,
        }

    def _volume_numbers(self, reading: Reading) -> dict[str, ArrayLike]:
        size = np.array([self._host.root_gb, self._host.store_gb]) * _GIB
        free = size - np.array([reading.root_used, reading.store_used])
        nothing = np.zeros(2)
        return {
            "node_filesystem_avail_bytes": free,
            "node_filesystem_device_error": nothing,
            "node_filesystem_files": size / 16_384,
            "node_filesystem_files_free": size / 16_384 * 0.97,
            "node_filesystem_free_bytes": free,
            "node_filesystem_readonly": nothing,
            "node_filesystem_size_bytes": size,
        }

    def _net_numbers(self, reading: Reading) -> dict[str, ArrayLike]:
        """What a VM sends, its tap receives."""
        work = np.maximum(reading.counters, 0.0)
        received = self._devices(reading, Channel.RECEIVED, work[Channel.SENT])
        sent = self._devices(reading, Channel.SENT, work[Channel.RECEIVED])
        nothing = np.zeros_like(received)
        return {
            "node_network_receive_bytes_total": received,
            "node_network_receive_drop_total": nothing,
            "node_network_receive_errs_total": nothing,
            "node_network_receive_packets_total": received / PACKET_SIZE,
            "node_network_transmit_bytes_total": sent,
            "node_network_transmit_drop_total": nothing,
            "node_network_transmit_errs_total": nothing,
            "node_network_transmit_packets_total": sent / PACKET_SIZE,
        }

    def _devices(self, reading: Reading, channel: Channel, taps: Floats) -> Floats:
        own, guests = float(reading.own[channel]), float(reading.guests[channel])
        return np.concatenate(([own, own + guests, 0.0], taps[self._nic_owner] * self._nic_share))

    def _memory_numbers(self, reading: Reading) -> dict[str, ArrayLike]:
        """QEMU adds 3 % to what its guest uses; half of the rest holds cached files that could be dropped."""
        total = self._host.memory_mb * 2.0**20
        used = 2.5 * _GIB + float(reading.memory_used.sum()) * 1.03
        available = max(total - used, 0.0)
        numbers = {
            "Buffers": total * 0.002,
            "Cached": available * 0.4,
            "MemAvailable": available,
            "MemFree": available * 0.55,
            "MemTotal": total,
            "SReclaimable": available * 0.04,
            "Shmem": total * 0.0005,
            "SwapFree": 0.0,
            "SwapTotal": 0.0,
        }
        return {f"node_memory_{name}_bytes": value for name, value in numbers.items()}


def _uname(host: SimHost) -> str:
    return labels(domainname="(none)", machine="x86_64", nodename=host.name, release=host.kernel, sysname="Linux",
                  version="#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)")  # fmt: skip


def _os() -> str:
    return labels(
        build_id="", id="debian", id_like="", image_id="", image_version="", name="Debian GNU/Linux",
        pretty_name=OS_PRODUCT, variant="", variant_id="", version="12 (bookworm)",
        version_codename="bookworm", version_id="12",
    )  # fmt: skip
