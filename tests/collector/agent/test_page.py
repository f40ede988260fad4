"""The agent's page against /proc and against a real node_exporter on the same machine."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from collector.agent.facts import facts
from collector.agent.page import Machine
from collector.agent.procfs import Proc
from collector.families import WANTED
from collector.parse import Parser
from core.hosts.targets import Exporter
from tests.support.real import answers, binary, free_port, server

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def series(page: bytes) -> Series:
    read = Parser().parse(page)
    return {
        (one.name, frozenset(one.labels.items())): value
        for one, value in zip(read.series, read.values.tolist(), strict=True)
    }


def test_the_page_has_every_family_that_the_collector_wants_of_a_host() -> None:
    assert WANTED[Exporter.NODE] <= {name for name, _ in series(Machine().render())}


def test_numbers_are_those_of_proc() -> None:
    def total(column: int) -> int:
        rows = [line.split() for line in Path("/proc/stat").read_text().splitlines() if line.startswith("cpu")]
        return sum(int(row[column]) for row in rows if row[0] != "cpu")

    before = total(1)
    page = series(Machine().render())
    after = total(1)
    user = sum(
        value
        for (name, labels), value in page.items()
        if name == "node_cpu_seconds_total" and ("mode", "user") in labels
    )
    ticks = os.sysconf("SC_CLK_TCK")
    assert before / ticks - 0.001 <= user <= after / ticks + 0.001
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    assert page["node_memory_MemTotal_bytes", frozenset()] == int(memory["MemTotal"].split()[0]) * 1024
    space = os.statvfs("/")
    sizes = [
        v
        for (name, labels), v in page.items()
        if name == "node_filesystem_size_bytes" and ("mountpoint", "/") in labels
    ]
    assert sizes in ([], [space.f_blocks * space.f_frsize])  # a container's root may be no local file system


CONSTANT = ("node_memory_MemTotal", "node_memory_SwapTotal", "node_boot_time", "node_uname", "node_filesystem_size")


def test_names_labels_and_numbers_are_those_of_a_real_node_exporter(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}/metrics"
    command = [binary("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}", "--no-collector.systemd"]
    with server(command, lambda: answers(url), tmp_path / "log"):
        before = series(Machine().render())
        theirs = series(httpx.get(url).content)
        after = series(Machine().render())
    families = {name for name, _ in after}
    assert {key for key in theirs if key[0] in families} == set(after)
    for key, value in theirs.items():
        name, labels = key
        if name.endswith("_total") and key in after:
            idle = 1.0 if name.startswith("node_cpu") else 0.0  # idle and iowait may step back, proc(5)
            assert before[key] - idle <= value <= after[key] + idle, f"{name} {dict(labels)}"
        if name.startswith(CONSTANT) and key in after:
            assert value == after[key], name


def test_facts_describe_this_machine() -> None:
    found = facts()
    assert found.cpu_cores == os.cpu_count()
    assert found.memory_mb == pytest.approx(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20, abs=1)
    assert found.kernel_version == os.uname().release
    assert found.cpu_sockets >= 1
    assert found.os_product


RECORDED = {
    "stat": "cpu  3 0 0 0\ncpu0 100 0 50 800 40 0 10 0 7 0\ncpu1 200 0 0 0\n"
    "intr 55 1 2 3\nctxt 9\nbtime 1700000000\nprocesses 4\n",
    "meminfo": "MemTotal:  1000 kB\nActive(anon):  5 kB\nHugePages_Total:  3\n",
    "sys/kernel/domainname": "(none)\n",
    "loadavg": "0.10 0.20 0.30 1/200 4242\n",
    "diskstats": "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n8 1 sda1 1 2 3 4 5 6 7 8 9 10 11\n7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\n",
    "net/dev": "Inter-|\n face |\n    lo: " + "1 " * 16 + "\n  eth0:" + " ".join(map(str, range(16))) + "\n",
    "1/mounts": "/dev/sda1 /a\\040b ext4 ro,relatime 0 0\nnas:/x /nas nfs4 rw 0 0\n",
    "cpuinfo": "processor : 0\nvendor_id : X\nphysical id : 0\n\nprocessor : 1\nvendor_id : X\nphysical id : 1\n",
}


@pytest.fixture
def recorded(tmp_path: Path) -> Proc:
    for name, text in RECORDED.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return Proc(tmp_path)


def test_recorded_files_become_the_right_series(recorded: Proc) -> None:
    page = series(Machine(recorded).render())
    hundredth = 1 / os.sysconf("SC_CLK_TCK")

    def value(name: str, **labels: str) -> float:
        return page[name, frozenset(labels.items())]

    assert value("node_cpu_seconds_total", cpu="0", mode="iowait") == pytest.approx(40 * hundredth)
    assert value("node_cpu_guest_seconds_total", cpu="0", mode="user") == pytest.approx(7 * hundredth)
    assert value("node_memory_Active_anon_bytes") == 5120
    assert value("node_memory_HugePages_Total") == 3
    assert value("node_disk_read_bytes_total", device="sda") == 3 * 512
    assert value("node_disk_written_bytes_total", device="sda") == 7 * 512
    assert value("node_disk_io_time_seconds_total", device="sda") == pytest.approx(0.010)
    assert value("node_network_receive_bytes_total", device="eth0") == 0
    assert value("node_network_transmit_bytes_total", device="eth0") == 8
    assert value("node_intr_total") == 55
    assert value("node_boot_time_seconds") == 1_700_000_000
    assert not [
        labels
        for _, labels in page
        if ("device", "lo") in labels or ("device", "sda1") in labels or ("device", "loop0") in labels
    ]


def test_a_file_system_that_cannot_be_asked_is_marked(recorded: Proc) -> None:
    page = series(Machine(recorded).render())
    found = {name: value for (name, labels), value in page.items() if ("mountpoint", "/a b") in labels}
    assert found == {"node_filesystem_device_error": 1}
    assert not [labels for _, labels in page if ("fstype", "nfs4") in labels]


def test_sockets_are_counted(recorded: Proc) -> None:
    assert (facts(recorded).cpu_sockets, facts(recorded).cpu_cores, facts(recorded).cpu_vendor) == (2, 2, "X")
