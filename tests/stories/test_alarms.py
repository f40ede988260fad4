"""Faults of the simulated data centre, and the alarms that must come of them - or must not."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from core.timeseries.fields import COLUMN, FIELDS, Kind, Unit
from tests.stories.conftest import FAULTY_INTERVAL
from tests.support.product import Product, fields, rows, vm_ids
from tests.support.real import eventually

Alarm = dict[str, Any]
FEW = 40.0
"""Seconds within which anything but the measured promise must have happened."""


def alarms(product: Product, object_id: str, **where: str) -> list[Alarm]:
    """Newest first."""
    found = rows(product.platform("cloudalarm/search", {"isfindPage": "true", "alarm.objid": object_id}))
    return [alarm for alarm in found if all(alarm[f"alarm.{name}"] == value for name, value in where.items())]


def events(product: Product, alarm: Alarm) -> list[str]:
    """What happened to an alarm, oldest first."""
    found = rows(product.platform("cloudalarm/history", {"alarm.id": alarm["alarm.id"]}))
    return [event["event.type"] for event in sorted(found, key=lambda event: str(event["event.time"]))]


def ways(product: Product, object_id: str) -> list[str]:
    return [alarm["alarm.relieve.way"] for alarm in alarms(product, object_id)]


def host_of(product: Product, vm: str) -> str:
    return str(fields(product.platform.call("GET", f"cloudvm/{vm}"))["vm.hostid"])


def state(product: Product, host: str) -> str:
    return str(rows(product.platform("cloudhost/search", {"host.id": host}))[0]["host.state"])


def scrapes(product: Product, target: str, since: float) -> list[float]:
    """`up` of each scrape since then, oldest first."""
    with product.store() as store:
        return store.read(Kind.TARGET, since, time.time() + 60, [target]).values[:, COLUMN[Kind.TARGET]["up"]].tolist()


def test_a_crashed_host_has_a_high_alarm_in_time_and_healing_relieves_it(faulty: Product) -> None:
    host = "host-sim-001"
    faulty.inject("crash-host", host)
    crashed = time.monotonic()
    (alarm,) = eventually(lambda: alarms(faulty, host, level="high"), FEW)
    assert time.monotonic() - crashed <= 3 * FAULTY_INTERVAL + 2
    assert alarm["alarm.relieve.way"] == "none"
    assert alarm["alarm.obj.type"] == "host"
    assert alarm["alarm.objname"] == "sim-node-001"
    assert alarm["alarm.relieve.time"] == ""
    assert "unreachable" in alarm["alarm.content"]
    eventually(lambda: state(faulty, host) in {"0", "2"}, FEW)
    assert ways(faulty, host) == ["none"]
    faulty.inject("heal", host)
    eventually(lambda: ways(faulty, host) == ["auto"], FEW)
    (healed,) = alarms(faulty, host)
    assert healed["alarm.id"] == alarm["alarm.id"]
    assert healed["alarm.relieve.time"] >= healed["alarm.create.time"]
    assert events(faulty, alarm) == ["raised", "relieved"]
    eventually(lambda: state(faulty, host) == "1", FEW)


def test_a_manual_alarm_outlives_its_cause_until_somebody_relieves_it(faulty: Product) -> None:
    vm = vm_ids(faulty, **{"vm.hostid": "host-sim-002"})[0]
    faulty.inject("load-vm", vm)
    eventually(lambda: len(alarms(faulty, vm)) == 2, FEW)
    faulty.inject("heal", vm)
    eventually(lambda: sorted(ways(faulty, vm)) == ["auto", "none"], FEW)
    (manual,) = alarms(faulty, vm, **{"relieve.way": "none"})
    assert "has been busy" in manual["alarm.content"]
    eventually(lambda: alarms(faulty, vm, **{"relieve.way": "none"})[0]["alarm.latched"] == "true", FEW)
    foreign = faulty.client(fields(faulty.platform("cloudTenant/create", {"app.name": "nosy"}))["app.token"])
    with foreign:
        assert not foreign("cloudalarm/relieve", {"alarm.id": manual["alarm.id"]}).succeeded
    assert faulty.demo("cloudalarm/relieve", {"alarm.id": manual["alarm.id"], "alarm.desc": "seen"}).succeeded
    (relieved,) = [row for row in alarms(faulty, vm) if row["alarm.id"] == manual["alarm.id"]]
    assert relieved["alarm.relieve.way"] == "manual"
    assert not faulty.platform("cloudalarm/relieve", {"alarm.id": manual["alarm.id"]}).succeeded
    assert events(faulty, manual)[-1] == "relieved"


def test_a_busy_vm_has_an_alarm_with_its_figures_in_both_languages(faulty: Product) -> None:
    vm = vm_ids(faulty, **{"vm.hostid": "host-sim-003"})[0]
    faulty.inject("load-vm", vm)
    (alarm,) = eventually(lambda: alarms(faulty, vm, level="medium"), FEW)
    assert alarm["alarm.type"] == "cpu"
    assert "% CPU" in alarm["alarm.content"]
    assert [row["alarm.id"] for row in rows(faulty.demo("cloudalarm/search", {"alarm.objid": vm, "alarm.level": "medium", "isfindPage": True}))] == [alarm["alarm.id"]]
    faulty.inject("heal", vm)
    eventually(lambda: not alarms(faulty, vm, level="medium", **{"relieve.way": "none"}), FEW)


def test_an_exporter_that_hangs_is_no_dead_host(faulty: Product) -> None:
    host, since = "host-sim-004", time.time()
    faulty.inject("hang-exporter", host)
    eventually(lambda: scrapes(faulty, f"{host}/node", since).count(0) >= 4, FEW)
    assert set(scrapes(faulty, f"{host}/libvirt", since)) == {1.0}
    assert state(faulty, host) == "1"
    assert alarms(faulty, host) == []
    faulty.inject("heal", host)
    eventually(lambda: scrapes(faulty, f"{host}/node", since)[-1] == 1, FEW)


def test_a_restarted_vm_makes_no_spike(faulty: Product) -> None:
    """Counters begin at zero again: rates are those of a quiet VM, or are missing, and never absurd."""
    vm = vm_ids(faulty, **{"vm.hostid": "host-sim-003"})[1]
    with faulty.store() as store:
        usual = _largest(store.read(Kind.VM, 0, time.time(), [vm]).values)
        since = time.time()
        faulty.inject("restart-vm", vm)
        eventually(lambda: len(store.read(Kind.VM, since, time.time(), [vm])) >= 5, FEW)
        after = store.read(Kind.VM, since, time.time(), [vm]).values
        parts = [store.read(kind, since, time.time()) for kind in (Kind.DISK, Kind.NIC)]
    assert np.nanmin(after) >= 0
    assert np.nanmax(after[:, COLUMN[Kind.VM]["cpu_rate"]]) <= 100
    assert (_largest(after) <= 20 * usual + 1024).all()
    for part in parts:
        assert np.nanmin(part.values) >= 0
    assert np.isfinite(after[-1]).all()
    assert not [alarm for alarm in alarms(faulty, vm) if alarm["alarm.type"] == "cpu"]


def _largest(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Of each field that is a rate."""
    rates = [at for at, field in enumerate(FIELDS[Kind.VM]) if field.unit is Unit.KILOBYTES_PER_SECOND]
    return np.nanmax(values[:, rates], axis=0)
