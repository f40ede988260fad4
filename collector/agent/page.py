"""This machine's page in the text format: the families, labels, units and choices of node_exporter 1.5, those that we
serve.

Left out like there: partitions, loop and RAM disks, the loopback interface. File systems are the local ones only:
asking a network file system whose server is gone would hang the page.
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collector.agent.procfs import GUESTS, MODES, SECTOR, Mount, Proc
from collector.devices import LOCAL

_NO_DISK: Final = re.compile(r"(?:ram|loop|fd|(?:h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+")
_NET: Final = ("bytes", "packets", "errs", "drop", "fifo")

_DISK: Final = {
    "node_disk_reads_completed": (0, 1, "The total number of reads completed successfully."),
    "node_disk_reads_merged": (1, 1, "The total number of reads merged."),
    "node_disk_read_bytes": (2, SECTOR, "The total number of bytes read successfully."),
    "node_disk_read_time_seconds": (3, 1e-3, "The total number of seconds spent by all reads."),
    "node_disk_writes_completed": (4, 1, "The total number of writes completed successfully."),
    "node_disk_writes_merged": (5, 1, "The number of writes merged."),
    "node_disk_written_bytes": (6, SECTOR, "The total number of bytes written successfully."),
    "node_disk_write_time_seconds": (7, 1e-3, "This is the total number of seconds spent by all writes."),
    "node_disk_io_time_seconds": (9, 1e-3, "Total seconds spent doing I/Os."),
    "node_disk_io_time_weighted_seconds": (10, 1e-3, "The weighted # of seconds spent doing I/Os."),
}
"""Family -> which number of the device, its unit, and the text."""

_COUNTS: Final[Mapping[str, tuple[str, type[CounterMetricFamily] | type[GaugeMetricFamily], str]]] = {
    "ctxt": ("node_context_switches", CounterMetricFamily, "Total number of context switches."),
    "intr": ("node_intr", CounterMetricFamily, "Total number of interrupts serviced."),
    "processes": ("node_forks", CounterMetricFamily, "Total number of forks."),
    "procs_running": ("node_procs_running", GaugeMetricFamily, "Number of processes in runnable state."),
    "procs_blocked": (
        "node_procs_blocked",
        GaugeMetricFamily,
        "Number of processes blocked waiting for I/O to complete.",
    ),
    "btime": ("node_boot_time_seconds", GaugeMetricFamily, "Node boot time, in unixtime."),
}


class Machine(Collector):
    """A prometheus_client collector: reads everything anew for each page."""

    def __init__(self, proc: Proc | None = None) -> None:
        self._proc = proc or Proc()

    def render(self) -> bytes:
        """The page, text format 0.0.4. Raises OSError without /proc."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        yield from self._cpu()
        yield from self._memory()
        yield from self._disks()
        yield from self._network()
        yield from self._file_systems()
        yield from self._system()

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: registering must not read a page."""
        return ()

    def _cpu(self) -> Iterator[Metric]:
        stat = self._proc.stat()
        modes = CounterMetricFamily("node_cpu_seconds", "Seconds the CPUs spent in each mode.", labels=("cpu", "mode"))
        guests = CounterMetricFamily(
            "node_cpu_guest_seconds", "Seconds the CPUs spent in guests (VMs) for each mode.", labels=("cpu", "mode")
        )
        for family, names, cpus in ((modes, MODES, stat.modes), (guests, GUESTS, stat.guests)):
            for cpu, seconds in cpus.items():
                for mode, value in zip(names, seconds, strict=False):  # old kernels know fewer modes
                    family.add_metric((cpu, mode), value)
            yield family
        for name, (family_name, kind, text) in _COUNTS.items():
            if name in stat.counts:
                yield kind(family_name, text, value=stat.counts[name])

    def _memory(self) -> Iterator[Metric]:
        for name, value in self._proc.meminfo().items():
            yield GaugeMetricFamily(f"node_memory_{name}", f"Memory information field {name}.", value=value)

    def _disks(self) -> Iterator[Metric]:
        devices = {name: row for name, row in self._proc.diskstats().items() if not _NO_DISK.fullmatch(name)}
        for name, (position, unit, text) in _DISK.items():
            family = CounterMetricFamily(name, text, labels=("device",))
            for device, row in devices.items():
                family.add_metric((device,), row[position] * unit)
            yield family

    def _network(self) -> Iterator[Metric]:
        devices = {name: row for name, row in self._proc.net_dev().items() if name != "lo"}
        for first, direction in ((0, "receive"), (8, "transmit")):
            for position, statistic in enumerate(_NET, first):
                name = f"{direction}_{statistic}"
                family = CounterMetricFamily(
                    f"node_network_{name}", f"Network device statistic {name}.", labels=("device",)
                )
                for device, row in devices.items():
                    family.add_metric((device,), row[position])
                yield family

    def _file_systems(self) -> Iterator[Metric]:
        labels = ("device", "fstype", "mountpoint")
        texts = {
            "avail_bytes": "Filesystem space available to non-root users in bytes.",
            "device_error": "Whether an error occurred while getting statistics for the given device.",
            "files": "Filesystem total file nodes.",
            "files_free": "Filesystem total free file nodes.",
            "free_bytes": "Filesystem free space in bytes.",
            "readonly": "Filesystem read-only status.",
            "size_bytes": "Filesystem size in bytes.",
        }
        families = {
            name: GaugeMetricFamily(f"node_filesystem_{name}", text, labels=labels) for name, text in texts.items()
        }
        mounts = {(m.device, m.fstype, m.point): m for m in self._proc.mounts() if m.fstype in LOCAL}
        for key, mount in mounts.items():
            for name, value in _space(mount).items():
                families[name].add_metric(key, value)
        yield from families.values()

    def _system(self) -> Iterator[Metric]:
        for minutes, value in zip((1, 5, 15), self._proc.loadavg(), strict=True):
            yield GaugeMetricFamily(f"node_load{minutes}", f"{minutes}m load average.", value=value)
        yield GaugeMetricFamily("node_time_seconds", "System time in seconds since epoch (1970).", value=time.time())
        name = platform.uname()
        labels = {"sysname": name.system, "release": name.release, "version": name.version, "machine": name.machine}
        labels |= {"nodename": name.node, "domainname": self._proc.domainname()}
        info = GaugeMetricFamily(
            "node_uname_info",
            "Labeled system information as provided by the uname system call.",
            labels=tuple(labels),
        )
        info.add_metric(tuple(labels.values()), 1)
        yield info


def _space(mount: Mount) -> dict[str, float]:
    try:
        space = os.statvfs(mount.point)
    except OSError:
        return {"device_error": 1}
    return {
        "avail_bytes": space.f_bavail * space.f_frsize,
        "device_error": 0,
        "files": space.f_files,
        "files_free": space.f_ffree,
        "free_bytes": space.f_bfree * space.f_frsize,
        "readonly": float(mount.readonly),
        "size_bytes": space.f_blocks * space.f_frsize,
    }
