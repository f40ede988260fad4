"""The whole pipeline at size, beside a real Prometheus on the same pages in the same run.

500 hosts and 10,000 simulated VMs are served by a process of its own; `starvc up` and Prometheus scrape the same pages
at the same interval. STARVC_LOAD_MINUTES (2) says for how long, STARVC_LOAD_HOSTS and STARVC_LOAD_VMS how many.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.real import answers, binary, eventually, free_port, server
from tests.support.simulation import simulation

MINUTES = float(os.environ.get("STARVC_LOAD_MINUTES", "2"))
HOSTS = int(os.environ.get("STARVC_LOAD_HOSTS", "500"))
VMS = int(os.environ.get("STARVC_LOAD_VMS", "10000"))
INTERVAL = 10
WARM_UP = 6 * INTERVAL
_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE = re.compile(r"^(\w+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Usage:
    """CPU seconds so far and resident MB now."""

    cpu: float
    memory: float

    @classmethod
    def of(cls, pid: int) -> Usage:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return cls((int(fields[11]) + int(fields[12])) / _TICKS, resident / 1024 / 1024)


@contextmanager
def product(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        "STARVC_SIM_HOSTS": "0",
        "STARVC_AGENT": "false",
        "STARVC_SCRAPE_INTERVAL": str(INTERVAL),
        "STARVC_DATA_DIR": str(folder),
        "STARVC_PORT": str(port),
    }
    command = [sys.executable, "-m", "api", "up"]
    with server(command, lambda: answers(f"http://127.0.0.1:{port}/health"), folder / "up.log", environment) as process:
        yield process


@contextmanager
def prometheus(folder: Path, targets: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """With the rules that compare: two alerts on every VM, as our shipped ones."""
    cpu = "rate(libvirt_domain_info_cpu_time_seconds_total[1m]) / libvirt_domain_info_virtual_cpus > 0.9"
    memory = "libvirt_domain_memory_stats_usable_bytes / libvirt_domain_memory_stats_available_bytes < 0.05"
    rules = [{"alert": "cpu", "expr": cpu, "for": "5m"}, {"alert": "memory", "expr": memory, "for": "5m"}]
    rule_file = folder / "rules.json"
    rule_file.write_text(json.dumps({"groups": [{"name": "vms", "interval": f"{INTERVAL}s", "rules": rules}]}))
    jobs = [{"job_name": "sim", "file_sd_configs": [{"files": [str(targets)]}]}]
    config = folder / "prometheus.json"
    settings = {"scrape_interval": f"{INTERVAL}s", "scrape_timeout": "5s"}
    config.write_text(json.dumps({"global": settings, "rule_files": [str(rule_file)], "scrape_configs": jobs}))
    command = [binary("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}"]
    ready = f"http://127.0.0.1:{port}/-/ready"
    with server(command, lambda: answers(ready), folder / "prometheus.log", seconds=60) as process:
        yield process


Counters = Mapping[tuple[str, str], float]


def metrics(port: int) -> Counters:
    """The counters of a server: (name, labels) -> value, our cloud's fields left out."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60, headers={"accept-encoding": "identity"}).text
    return {
        (name, labels or ""): float(value)
        for name, labels, value in _SAMPLE.findall(text)
        if not re.match(r"starvc_(vm|host|disk|nic|target)_", name)
    }


def grown(before: Counters, after: Counters, name: str) -> float:
    """By how much a counter grew, all its labels together."""
    return sum(value - before.get(key, 0.0) for key, value in after.items() if key[0] == name)


def phases(before: Counters, after: Counters) -> dict[str, float]:
    """CPU seconds by phase of the collector and by job of the aggregator."""
    found = {}
    for name, label in (("starvc_collector_cpu_seconds_total", "phase"), ("starvc_job_cpu_seconds_total", "job")):
        for (metric, labels), value in after.items():
            if metric == name:
                found[labels.removeprefix(f'{label}="').removesuffix('"')] = value - before.get((metric, labels), 0.0)
    return found


@dataclass(frozen=True)
class Measured:
    """What both processes used over the same `cycles`, ours first; `page` is the CPU time of one `/metrics`.

    On a machine that is too busy to serve the pages both read fewer of them: `samples` tells, and the CPU time of a
    million samples compares them all the same.
    """

    usages: tuple[Usage, Usage]
    peaks: tuple[float, float]
    samples: tuple[float, float]
    cycles: float
    before: Counters
    after: Counters
    page: float

    def table(self) -> Iterator[str]:
        ours, theirs = (usage.cpu / self.cycles for usage in self.usages)
        split = {name: spent / self.cycles for name, spent in phases(self.before, self.after).items()}
        read, appended = (number / self.cycles for number in self.samples)
        missed = grown(self.before, self.after, "starvc_collector_missed_slots_total")
        yield f"{HOSTS} hosts, {VMS} VMs, {INTERVAL} s, {self.cycles:.0f} cycles"
        yield f"{'CPU s a cycle':<24}{'starvc':>10}{'Prometheus':>12}{'ratio':>8}"
        for name, spent in sorted(split.items(), key=lambda item: -item[1]):
            yield f"  {name:<22}{spent:>10.2f}"
        yield f"  {'all the rest':<22}{ours - sum(split.values()):>10.2f}"
        yield f"{'total':<24}{ours:>10.2f}{theirs:>12.2f}{ours / theirs:>8.2f}"
        yield f"{'samples a cycle':<24}{read:>10,.0f}{appended:>12,.0f}{read / appended:>8.2f}"
        ours, theirs = 1e6 * ours / read, 1e6 * theirs / appended
        yield f"{'CPU s of 10^6 samples':<24}{ours:>10.2f}{theirs:>12.2f}{ours / theirs:>8.2f}"
        mine, other = (usage.memory for usage in self.usages)
        yield f"{'MB at the end':<24}{mine:>10.0f}{other:>12.0f}{mine / other:>8.2f}"
        yield f"{'MB at most':<24}{self.peaks[0]:>10.0f}{self.peaks[1]:>12.0f}"
        yield f"{'missed slots':<24}{missed:>10.0f}"
        yield f"{'  before, warming up':<24}{grown({}, self.before, 'starvc_collector_missed_slots_total'):>10.0f}"
        yield f"{'CPU s of one /metrics':<24}{self.page:>10.2f}"


def measure(ports: tuple[int, int], pids: tuple[int, int]) -> Measured:
    """For MINUTES, with a line per cycle."""
    before, theirs_before = (metrics(port) for port in ports)
    start, began = [Usage.of(pid) for pid in pids], time.monotonic()
    end, peaks = start, (0.0, 0.0)
    while time.monotonic() - began < 60 * MINUTES:
        time.sleep(INTERVAL)
        end = [Usage.of(pid) for pid in pids]
        peaks = max(peaks[0], end[0].memory), max(peaks[1], end[1].memory)
        mine, other = ((b.cpu - a.cpu) for a, b in zip(start, end, strict=True))
        print(f"{time.monotonic() - began:5.0f} s  starvc {mine:6.1f} CPU s {end[0].memory:5.0f} MB", end="  ")
        print(f"Prometheus {other:6.1f} CPU s {end[1].memory:5.0f} MB  ratio {mine / other:.2f}", flush=True)
    cycles = (time.monotonic() - began) / INTERVAL
    idle = Usage.of(pids[0]).cpu
    after = metrics(ports[0])
    page = Usage.of(pids[0]).cpu - idle
    theirs_after = metrics(ports[1])
    samples = (
        grown(before, after, "starvc_collector_samples_total"),
        grown(theirs_before, theirs_after, "prometheus_tsdb_head_samples_appended_total"),
    )
    ours, theirs = (Usage(b.cpu - a.cpu, b.memory) for a, b in zip(start, end, strict=True))
    return Measured((ours, theirs), peaks, samples, cycles, before, after, page)


@pytest.mark.benchmark
def test_500_hosts_and_10000_vms_beside_prometheus(tmp_path: Path) -> None:
    with (
        simulation(tmp_path, HOSTS, VMS) as simulated,
        product(tmp_path, ours := free_port()) as starvc,
        prometheus(tmp_path, simulated.targets, theirs := free_port()) as peer,
    ):
        eventually(lambda: metrics(ours).get(("starvc_collector_targets", "")) == 2 * HOSTS, 60, 1.0)
        time.sleep(WARM_UP)
        measured = measure((ours, theirs), (starvc.pid, peer.pid))
        starvc.send_signal(signal.SIGTERM)
        assert starvc.wait(30) == 0

    print("", *measured.table(), sep="\n")
    assert measured.samples[0] > 0
