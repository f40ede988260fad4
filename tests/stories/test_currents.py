"""Current values over the wire: complete, in the documented form, in agreement with each other and with `/proc`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from core.timeseries.fields import COLUMN, Kind
from tests.support.product import Product, fields, host_ids, rows, vm_ids
from tests.support.real import eventually

INTEGER = re.compile(r"\d+")
TWO_DECIMALS = re.compile(r"\d+\.\d\d")
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
COMPUTE = ("monitor.cpu.rate", "monitor.mem.rate", "monitor.cpu.num", "monitor.mem.size", "monitor.mem.usedsize")


def _current(product: Product, kind: str, id_: str) -> dict[str, Any]:
    return fields(product.platform("cloudmonitor/compute/current", {"monitor.obj.type": kind, "monitor.obj": id_}))


def _plausible(row: dict[str, Any]) -> None:
    assert all(INTEGER.fullmatch(row[name]) for name in COMPUTE), row
    assert TIME.fullmatch(row["monitor.createtime"])
    assert int(row["monitor.cpu.rate"]) <= 100
    assert 0 < int(row["monitor.mem.rate"]) <= 100
    assert 0 < int(row["monitor.mem.usedsize"]) <= int(row["monitor.mem.size"])
    share = 100 * int(row["monitor.mem.usedsize"]) / int(row["monitor.mem.size"])
    assert share - 1 <= int(row["monitor.mem.rate"]) <= 1.03 * share + 1, "of what the guest's kernel leaves"


@pytest.mark.parametrize("kind", ["host", "vm"])
def test_every_object_has_current_values_alone_and_in_a_batch(product: Product, kind: str) -> None:
    ids = host_ids(product) if kind == "host" else vm_ids(product)
    assert len(ids) == {"host": 3, "vm": 6}[kind]
    wanted = {"monitor.obj.type": kind, "monitor.objids": ids}
    together = rows(product.platform("cloudmonitor/compute/currents", wanted))
    assert [row["monitor.obj"] for row in together] == ids
    for row in together:
        _plausible(row)
        assert INTEGER.fullmatch(row["monitor.disk.usedsize"])
        alone = _current(product, kind, row["monitor.obj"])
        _plausible(alone)
        assert alone["monitor.cpu.num"] == row["monitor.cpu.num"]
        assert alone["monitor.mem.size"] == row["monitor.mem.size"]


def test_sizes_are_those_of_the_inventory(product: Product) -> None:
    for vm in rows(product.platform("cloudvm/search")):
        now = _current(product, "vm", vm["vm.id"])
        assert now["monitor.cpu.num"] == vm["vm.vcpu.num"]
        assert now["monitor.mem.size"] == vm["vm.memory.mem"]


def test_every_disk_has_its_speeds_and_sizes(product: Product) -> None:
    for vm in vm_ids(product):
        wanted = {"monitor.obj.type": "vm", "monitor.obj": vm}
        disks = rows(product.platform("cloudmonitor/everydisk/current", wanted))
        assert disks
        for disk in disks:
            for name in ("readspeed", "writespeed", "rqbs", "wqbs"):
                assert TWO_DECIMALS.fullmatch(disk[f"monitor.disk.{name}"]), disk
            assert 0 < int(disk["monitor.disk.usedsize"]) <= int(disk["monitor.disk.size"])
        used_megabytes = sum(int(disk["monitor.disk.usedsize"]) for disk in disks) / 1024
        batch = rows(product.platform("cloudmonitor/compute/currents", {**wanted, "monitor.objids": [vm]}))
        assert abs(int(batch[0]["monitor.disk.usedsize"]) - used_megabytes) < 1 + 0.01 * used_megabytes


def test_every_nic_has_its_speeds_and_its_address(product: Product) -> None:
    for vm in vm_ids(product):
        wanted = {"monitor.obj.type": "vm", "monitor.obj": vm}
        for nic in rows(product.platform("cloudmonitor/everynet/current", wanted)):
            assert re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", nic["monitor.netcardmac"])
            assert TWO_DECIMALS.fullmatch(nic["monitor.net.downspeed"]), nic
            assert TWO_DECIMALS.fullmatch(nic["monitor.net.upspeed"]), nic


def test_values_move_on_with_every_scrape(product: Product) -> None:
    def time() -> str:
        return str(_current(product, "vm", "vm-sim-00001")["monitor.createtime"])

    first = time()
    eventually(lambda: time() > first, 10)


def test_a_tenant_sees_its_own_vms_and_no_hosts(product: Product) -> None:
    made = fields(product.platform("cloudTenant/create", {"app.name": "a-stranger"}))
    vms = vm_ids(product)
    assert [row["vm.id"] for row in rows(product.demo("cloudvm/search"))] == vms
    batch = {"monitor.obj.type": "vm", "monitor.objids": vms}
    one = {"monitor.obj.type": "vm", "monitor.obj": vms[0]}
    assert len(rows(product.demo("cloudmonitor/compute/currents", batch))) == len(vms)
    assert not product.demo("cloudmonitor/compute/current", {**one, "monitor.obj.type": "host"}).succeeded
    assert not product.demo("cloudhost/search").succeeded
    with product.client(made["app.token"]) as stranger:
        assert rows(stranger("cloudvm/search")) == []
        assert rows(stranger("cloudmonitor/compute/currents", batch)) == []
        foreign, unknown = (
            stranger("cloudmonitor/compute/current", {**one, "monitor.obj": id_}) for id_ in (vms[0], "vm-nobody")
        )
        assert foreign.text == unknown.text.replace("vm-nobody", vms[0])


def test_this_machine_agrees_with_proc(product: Product) -> None:
    """Memory and cores as the kernel counts them."""
    facts = _meminfo()
    now = _current(product, "host", "host-local")
    assert int(now["monitor.cpu.num"]) == os.cpu_count()
    assert int(now["monitor.mem.size"]) == round(facts["MemTotal"] / 1024)
    in_use = (facts["MemTotal"] - facts["MemAvailable"]) / 1024
    assert abs(int(now["monitor.mem.usedsize"]) - in_use) < 0.1 * facts["MemTotal"] / 1024


def test_the_cpu_rate_of_this_machine_is_that_of_proc_stat(product: Product) -> None:
    """Over several scrapes: the mean of the shown rates is the rate that the counters give over the same time."""
    with product.store() as store:
        before = _jiffies()
        start = store.latest(Kind.HOST, 0, ["host-local"]).times[0]
        eventually(lambda: store.latest(Kind.HOST, 0, ["host-local"]).times[0] >= start + 5, 20)
        after = _jiffies()
        end = store.latest(Kind.HOST, 0, ["host-local"]).times[0]
        frame = store.read(Kind.HOST, start + 0.5, end + 0.5, ["host-local"])
    shown = frame.values[:, COLUMN[Kind.HOST]["cpu_rate"]].mean()
    busy, total = (now - then for now, then in zip(after, before, strict=True))
    assert abs(shown - 100 * busy / total) < 25


def _meminfo() -> dict[str, int]:
    """KB by name."""
    lines = (line.split(":") for line in Path("/proc/meminfo").read_text("ascii").splitlines())
    return {name: int(rest.split()[0]) for name, rest in lines}


def _jiffies() -> tuple[int, int]:
    """Busy and all time of all cores, in ticks."""
    numbers = [int(text) for text in Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9]]
    return sum(numbers) - numbers[3] - numbers[4], sum(numbers)
