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
from collections.abc import Iterator
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
WARM_UP = 3 * INTERVAL
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


def metrics(port: int) -> dict[tuple[str, str], float]:
    """Our own counters: (name, labels) -> value, the cloud's fields left out."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60, headers={"accept-encoding": "identity"}).text
    return {
        (name, labels or ""): float(value)
        for name, labels, value in _SAMPLE.findall(text)
        if not re.match(r"starvc_(vm|host|disk|nic|target)_", name)
    }


def grown(before: dict[tuple[str, str], float], after: dict[tuple[str, str], float], name: str) -> float:
    """By how much a counter grew, all its labels together."""
    return sum(value - before.get(key, 0.0) for key, value in after.items() if key[0] == name)


def split(before: dict[tuple[str, str], float], after: dict[tuple[str, str], float], cycles: float) -> dict[str, float]:
    """CPU seconds per cycle by phase; of rollup, rules and hosts their duration, an upper bound in a loaded process."""
    wanted = {
        "fetch": ("starvc_collector_cpu_seconds_total", 'phase="fetch"'),
        "parse": ("starvc_collector_cpu_seconds_total", 'phase="parse"'),
        "rates": ("starvc_collector_cpu_seconds_total", 'phase="rates"'),
        "write": ("starvc_collector_cpu_seconds_total", 'phase="write"'),
        "rollup": ("starvc_job_duration_seconds_sum", 'job="lines"'),
        "rules": ("starvc_job_duration_seconds_sum", 'job="rules"'),
        "hosts": ("starvc_job_duration_seconds_sum", 'job="hosts"'),
    }
    return {phase: (after[key] - before.get(key, 0.0)) / cycles for phase, key in wanted.items()}


@pytest.mark.benchmark
def test_500_hosts_and_10000_vms_beside_prometheus(tmp_path: Path) -> None:
    ours, theirs = free_port(), free_port()
    with (
        simulation(tmp_path, HOSTS, VMS) as simulated,
        product(tmp_path, ours) as starvc,
        prometheus(tmp_path, simulated.targets, theirs) as peer,
    ):
        eventually(lambda: metrics(ours).get(("starvc_collector_targets", "")) == 2 * HOSTS, 60, 1.0)
        time.sleep(WARM_UP)
        began, counters = time.monotonic(), metrics(ours)
        start = [Usage.of(process.pid) for process in (starvc, peer)]
        end = start
        while time.monotonic() - began < 60 * MINUTES:
            time.sleep(INTERVAL)
            end = [Usage.of(process.pid) for process in (starvc, peer)]
            mine, other = ((b.cpu - a.cpu) for a, b in zip(start, end, strict=True))
            elapsed = time.monotonic() - began
            print(f"{elapsed:5.0f} s  starvc {mine:6.1f} CPU s {end[0].memory:5.0f} MB", end="  ")
            print(f"Prometheus {other:6.1f} CPU s {end[1].memory:5.0f} MB  ratio {mine / other:.2f}", flush=True)
        cycles = (time.monotonic() - began) / INTERVAL
        last = metrics(ours)
        starvc.send_signal(signal.SIGTERM)
        assert starvc.wait(30) == 0

    mine, other = ((b.cpu - a.cpu) / cycles for a, b in zip(start, end, strict=True))
    missed, samples = (grown(counters, last, f"starvc_collector_{name}_total") for name in ("missed_slots", "samples"))
    print(f"\n{HOSTS} hosts, {VMS} VMs, {INTERVAL} s, {cycles:.0f} cycles, {samples / cycles:,.0f} samples a cycle")
    phases = split(counters, last, cycles)
    print("CPU s a cycle: " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in phases.items()))
    print(
        f"CPU s a cycle: starvc {mine:.2f}, Prometheus {other:.2f}, ratio {mine / other:.2f}; missed slots {missed:.0f}"
    )
    print(f"memory: starvc {end[0].memory:.0f} MB, Prometheus {end[1].memory:.0f} MB")
    assert samples > 0
