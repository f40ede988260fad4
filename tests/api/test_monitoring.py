"""`cloudmonitor` with real samples and lines in the embedded store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from core.compute.rows import Vm, VmState
from core.timeseries.fields import FIELDS, Kind
from core.timeseries.store import Frame, Level, Lines
from tests.api.conftest import Cloud

NOW = 1767225600.0
"""2026-01-01 00:00:00 UTC, 08:00:00 in Shanghai."""
VALUES = {
    "cpu_rate": 12.5, "cpu_num": 2.0, "mem_rate": 49.4999, "mem_size": 4096.0, "mem_used": 2027.5, "disk_size": 40960.0,
    "disk_used": 1024.0, "disk_read": 1.005, "disk_write": 1234567.891, "net_down": 0.0, "net_up": 0.125,
}  # fmt: skip


def _row(kind: Kind, values: Mapping[str, float]) -> list[float]:
    return [values.get(field.name, float("nan")) for field in FIELDS[kind]]


def _measure(cloud: Cloud, kind: Kind, name: str, values: Mapping[str, float], age: float = 0.0) -> None:
    times = np.array([NOW - age])
    cloud.store.write([Frame(kind, [name], times, np.array([_row(kind, values)]))])


def _line(cloud: Cloud, level: Level, start: float, values: Mapping[str, float], name: str = "vm-1") -> None:
    mean = np.array([_row(Kind.VM, values)])
    count = np.where(np.isnan(mean), 0, 6).astype(np.int64)
    cloud.store.write_lines(level, [Lines(Kind.VM, start, [name], mean, mean, mean, count, 6, final=True)])


def _ask(cloud: Cloud, path: str, **params: object) -> Any:
    names = {"kind": "monitor.obj.type", "id": "monitor.obj", "ids": "monitor.objids", "line": "lineType"}
    names |= {"since": "monitor.starttime", "until": "monitor.endtime"}
    answer = cloud.platform(
        f"cloudmonitor/{path}", {names[key]: value for key, value in ({"kind": "vm"} | params).items()}
    )
    assert answer.succeeded, answer.text
    return answer.data


def test_current_values_have_the_documented_precision(cloud: Cloud) -> None:
    _measure(cloud, Kind.VM, "vm-1", VALUES)
    assert _ask(cloud, "compute/current", id="vm-1") == {
        "monitor.obj": "vm-1",
        "monitor.createtime": "2026-01-01 08:00:00",
        "monitor.cpu.rate": "13",
        "monitor.mem.rate": "49",
        "monitor.cpu.num": "2",
        "monitor.mem.size": "4096",
        "monitor.mem.usedsize": "2028",
    }


def test_what_is_not_measured_is_the_empty_string(cloud: Cloud) -> None:
    _measure(cloud, Kind.VM, "vm-1", {"cpu_rate": 0.0, "mem_rate": float("inf")})
    answer = _ask(cloud, "compute/current", id="vm-1")
    assert answer["monitor.cpu.rate"] == "0"
    assert answer["monitor.mem.rate"] == answer["monitor.mem.size"] == ""


def test_never_measured_has_no_time_either(cloud: Cloud) -> None:
    answer = _ask(cloud, "compute/current", id="vm-1")
    assert answer.pop("monitor.obj") == "vm-1"
    assert set(answer.values()) == {""}


@pytest.mark.parametrize(("age", "current"), [(30.0, True), (30.1, False), (3600.0, False)])
def test_values_older_than_three_intervals_are_no_current_values(cloud: Cloud, age: float, current: bool) -> None:
    _measure(cloud, Kind.VM, "vm-1", VALUES, age=age)
    answer = _ask(cloud, "compute/current", id="vm-1")
    assert (answer["monitor.cpu.rate"] == "13") is current
    assert answer["monitor.createtime"] != "", "the time of the last sample stays"


def test_a_vm_that_does_not_run_has_no_current_values(cloud: Cloud) -> None:
    _measure(cloud, Kind.VM, "vm-1", VALUES)
    with cloud.services.database.platform(write=True) as session:
        vm = session.get(Vm, "vm-1")
        assert vm
        vm.state = VmState.STOPPED
    answer = _ask(cloud, "compute/current", id="vm-1")
    assert answer["monitor.cpu.rate"] == ""
    assert answer["monitor.createtime"] == "2026-01-01 08:00:00"


def test_currents_keep_the_order_and_leave_out_who_is_unknown(cloud: Cloud) -> None:
    _measure(cloud, Kind.VM, "vm-1", VALUES)
    answer = _ask(cloud, "compute/currents", ids=["vm-3", "nobody", "vm-1", "vm-3"])
    assert [row["monitor.obj"] for row in answer] == ["vm-3", "vm-1"]
    assert answer[1]["monitor.disk.usedsize"] == "1024"


def test_currents_of_hosts_with_ids_in_one_text(cloud: Cloud) -> None:
    _measure(cloud, Kind.HOST, "host-2", VALUES)
    answer = _ask(cloud, "compute/currents", kind="host", ids="host-1, host-2")
    assert [row["monitor.cpu.rate"] for row in answer] == ["", "13"]


def test_every_disk_of_a_vm_answers_the_inventorys_ids(cloud: Cloud) -> None:
    values = {"size": 41943040.0, "used": 5.0, "read": 1.0, "write": 2.5, "read_requests": 3.456, "write_requests": 0.0}
    _measure(cloud, Kind.DISK, "vm-1/vda", values)
    _measure(cloud, Kind.DISK, "vm-2/vda", values)
    assert _ask(cloud, "everydisk/current", id="vm-1") == [
        {
            "monitor.obj": "vm-1",
            "monitor.diskid": "disk-1",
            "monitor.createtime": "2026-01-01 08:00:00",
            "monitor.disk.writespeed": "2.50",
            "monitor.disk.readspeed": "1.00",
            "monitor.disk.size": "41943040",
            "monitor.disk.rqbs": "3.46",
            "monitor.disk.wqbs": "0.00",
            "monitor.disk.usedsize": "5",
        }
    ]


def test_every_nic_of_a_vm_has_its_mac_even_before_it_is_measured(cloud: Cloud) -> None:
    (row,) = _ask(cloud, "everynet/current", id="vm-1")
    assert (row["monitor.netcardid"], row["monitor.netcardmac"]) == ("nic-1", "52:54:00:00:00:01")
    assert row["monitor.createtime"] == row["monitor.net.upspeed"] == ""
    _measure(cloud, Kind.NIC, "vm-1/vnet0", {"down": 1.0, "up": 2.0})
    (row,) = _ask(cloud, "everynet/current", id="vm-1")
    assert (row["monitor.net.downspeed"], row["monitor.net.upspeed"]) == ("1.00", "2.00")


def test_disks_of_a_host_are_those_on_its_last_page(cloud: Cloud) -> None:
    for name, age in (("host-1/sda", 0.0), ("host-1/sdb", 0.0), ("host-1/pulled", 500.0), ("host-11/sda", 0.0)):
        _measure(cloud, Kind.DISK, name, {"size": 1.0}, age=age)
    answer = _ask(cloud, "everydisk/current", kind="host", id="host-1")
    assert [row["monitor.diskid"] for row in answer] == ["host-1/sda", "host-1/sdb"]


@pytest.mark.parametrize(("line", "points", "step"), [("minute", 60, 60.0), ("hour", 24, 3600.0), ("day", 30, 86400.0)])
def test_a_history_without_lines_is_all_gaps_oldest_first(cloud: Cloud, line: str, points: int, step: float) -> None:
    cloud.clock.advance(30.0)
    answer = _ask(cloud, "compute/history", id="vm-1", line=line)
    assert len(answer) == points
    times = [row["monitor.createtime"] for row in answer]
    assert times == sorted(set(times))
    assert {row["monitor.cpu.rate"] for row in answer} == {""}
    assert {row["monitor.obj"] for row in answer} == {"vm-1"}


def test_the_unfinished_window_is_shown_as_soon_as_it_has_a_line(cloud: Cloud) -> None:
    cloud.clock.advance(30.0)
    before = _ask(cloud, "disk/history", id="vm-1", line="minute")
    assert before[-1]["monitor.createtime"] == "2026-01-01 07:59:00"
    _line(cloud, Level.MINUTE, NOW, VALUES)
    after = _ask(cloud, "disk/history", id="vm-1", line="minute")
    assert after[-1] == {
        "monitor.obj": "vm-1",
        "monitor.createtime": "2026-01-01 08:00:00",
        "monitor.disk.writespeed": "1234567.89",
        "monitor.disk.readspeed": "1.00",
    }
    assert len(after) == len(before) == 60


def test_gaps_stay_gaps_between_points(cloud: Cloud) -> None:
    for minutes in (1, 3):
        _line(cloud, Level.MINUTE, NOW - 60.0 * minutes, VALUES)
    _line(cloud, Level.MINUTE, NOW - 120.0, VALUES, name="vm-2")
    answer = _ask(cloud, "net/history", id="vm-1", line="minute")
    assert [row["monitor.net.upspeed"] for row in answer[-3:]] == ["0.13", "", "0.13"]


def test_days_are_those_of_the_configured_zone(cloud: Cloud) -> None:
    _line(cloud, Level.DAY, NOW - 8 * 3600.0, VALUES)
    answer = _ask(cloud, "compute/history", id="vm-1", line="day")
    assert answer[-1]["monitor.createtime"] == "2026-01-01 00:00:00"
    assert answer[-1]["monitor.cpu.rate"] == "13"


def test_a_range_includes_both_ends(cloud: Cloud) -> None:
    answer = _ask(
        cloud, "compute/history", id="vm-1", line="minute", since="2026-01-01 07:00:30", until="2026-01-01 07:05:00"
    )
    times = [row["monitor.createtime"] for row in answer]
    assert (times[0], times[-1], len(times)) == ("2026-01-01 07:00:00", "2026-01-01 07:05:00", 6)


@pytest.mark.parametrize(
    ("since", "until", "points"),
    [
        ("2030-01-01 00:00:00", "2030-01-02 00:00:00", 0),
        ("0002-01-01 00:00:00", "0002-01-01 10:00:00", 0),
        ("9999-12-31 23:59:59", "9999-12-31 23:59:59", 0),
        ("2026-01-01 07:59:00", "2031-01-01 00:00:00", 2),
    ],
)
def test_ranges_beyond_the_known_time_are_cut(cloud: Cloud, since: str, until: str, points: int) -> None:
    answer = _ask(cloud, "compute/history", id="vm-1", line="minute", since=since, until=until)
    assert len(answer) == points


def test_an_end_alone_asks_for_the_usual_number_of_points_before_it(cloud: Cloud) -> None:
    answer = _ask(cloud, "compute/history", id="vm-1", line="hour", until="2025-12-31 12:30:00")
    assert len(answer) == 24
    assert answer[-1]["monitor.createtime"] == "2025-12-31 12:00:00"


@pytest.mark.parametrize(
    ("since", "until", "problem"),
    [
        ("2026-01-01 07:00:00", "2026-01-01 06:00:00", "晚于结束时间"),
        ("2020-01-01 00:00:00", "2025-01-01 00:00:00", "点数过多"),
    ],
)
def test_impossible_ranges_are_refused(cloud: Cloud, since: str, until: str, problem: str) -> None:
    params = {"monitor.obj.type": "vm", "monitor.obj": "vm-1", "lineType": "minute"}
    params |= {"monitor.starttime": since, "monitor.endtime": until}
    answer = cloud.platform("cloudmonitor/compute/history", params)
    assert answer.result == "1"
    assert "monitor.starttime" in answer.text
    assert problem in answer.text
