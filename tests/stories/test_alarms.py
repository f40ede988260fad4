"""Faults of the simulated data centre, and the alarms that must come of them - or must not."""

from __future__ import annotations

import re
import time
from typing import Any

import numpy as np

from api.wire.client import StarVCenter
from core.timeseries.fields import COLUMN, FIELDS, Kind, Unit
from core.timeseries.store import Floats
from tests.stories.conftest import FAULTY_INTERVAL, Faulty
from tests.support.product import Product, fields, rows
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


def state(product: Product, host: str) -> str:
    return str(rows(product.platform("cloudhost/search", {"host.id": host}))[0]["host.state"])


def scrapes(product: Product, target: str, since: float) -> list[float]:
    """`up` of each scrape since then, oldest first."""
    with product.store() as store:
        up = store.read(Kind.TARGET, since, time.time() + 60, [target]).values[:, COLUMN[Kind.TARGET]["up"]]
    return [float(value) for value in up]


def test_a_crashed_host_has_a_high_alarm_in_time_and_healing_relieves_it(faulty: Faulty) -> None:
    product, host = faulty.product, faulty.healthy
    product.inject("crash-host", host)
    crashed = time.monotonic()
    (alarm,) = eventually(lambda: alarms(product, host, level="high"), FEW)
    assert time.monotonic() - crashed <= 3 * FAULTY_INTERVAL + 2
    assert alarm["alarm.relieve.way"] == "none"
    assert alarm["alarm.obj.type"] == "host"
    assert alarm["alarm.objname"] == "sim-node-001"
    assert alarm["alarm.relieve.time"] == ""
    assert "unreachable" in alarm["alarm.content"]
    eventually(lambda: state(product, host) in {"0", "2"}, FEW)
    assert ways(product, host) == ["none"]
    product.inject("heal", host)
    eventually(lambda: ways(product, host) == ["auto"], FEW)
    (healed,) = alarms(product, host)
    assert healed["alarm.id"] == alarm["alarm.id"]
    assert healed["alarm.relieve.time"] >= healed["alarm.create.time"]
    assert events(product, alarm) == ["raised", "relieved"]
    eventually(lambda: state(product, host) == "1", FEW)


def test_an_exporter_that_hangs_is_no_dead_host(faulty: Faulty) -> None:
    product, host = faulty.product, faulty.hung
    eventually(lambda: scrapes(product, f"{host}/node", faulty.since).count(0) >= 4, FEW)
    assert set(scrapes(product, f"{host}/libvirt", faulty.since)) == {1.0}
    assert state(product, host) == "1"
    assert alarms(product, host) == []
    product.inject("heal", host)
    eventually(lambda: scrapes(product, f"{host}/node", faulty.since)[-1] == 1, FEW)


def test_a_busy_vm_has_one_alarm_with_its_figures_in_the_language_of_the_caller(faulty: Faulty) -> None:
    product, vm = faulty.product, faulty.busy
    (alarm,) = eventually(lambda: alarms(product, vm, level="medium"), FEW)
    assert alarm["alarm.type"] == "cpu"
    assert re.fullmatch(r"VM \S+ uses (9[5-9]|100)(\.\d+)?% CPU", alarm["alarm.content"])
    wanted = {"alarm.objid": vm, "alarm.level": "medium", "isfindPage": True}
    with StarVCenter(product.url, product.demo_token, language="zh") as owner:
        (same,) = rows(owner("cloudalarm/search", wanted))
    assert same["alarm.id"] == alarm["alarm.id"]
    assert same["alarm.content"].startswith("虚拟机 ")
    product.inject("heal", vm)
    eventually(lambda: not alarms(product, vm, level="medium", **{"relieve.way": "none"}), FEW)


def test_a_manual_alarm_outlives_its_cause_until_somebody_relieves_it(faulty: Faulty) -> None:
    product, vm = faulty.product, faulty.once_busy
    eventually(lambda: len(alarms(product, vm)) == 2, FEW)
    product.inject("heal", vm)
    eventually(lambda: sorted(ways(product, vm)) == ["auto", "none"], FEW)
    (manual,) = eventually(lambda: alarms(product, vm, latched="true"), FEW)
    assert manual["alarm.relieve.way"] == "none"
    assert "has been busy" in manual["alarm.content"]
    relief = {"alarm.id": manual["alarm.id"], "alarm.desc": "seen"}
    stranger = fields(product.platform("cloudTenant/create", {"app.name": "a-stranger"}))
    with product.client(stranger["app.token"]) as nosy:
        assert "does not exist" in nosy("cloudalarm/relieve", relief).text
    assert product.demo("cloudalarm/relieve", relief).succeeded
    (relieved,) = [row for row in alarms(product, vm) if row["alarm.id"] == manual["alarm.id"]]
    assert relieved["alarm.relieve.way"] == "manual"
    assert relieved["alarm.desc"] == "seen"
    assert not product.platform("cloudalarm/relieve", relief).succeeded
    assert events(product, manual) == ["raised", "returned", "relieved"]


def test_a_restarted_vm_makes_no_spike(faulty: Faulty) -> None:
    """Counters begin at zero again: rates are those of a quiet VM, or are missing, and never absurd."""
    product, vm, since = faulty.product, faulty.restarted, faulty.since
    with product.store() as store:
        usual = _largest(store.read(Kind.VM, 0, since, [vm]).values)
        eventually(lambda: len(store.read(Kind.VM, since, time.time(), [vm])) >= 5, FEW)
        after = store.read(Kind.VM, since, time.time(), [vm]).values
        parts = [store.read(kind, since, time.time()) for kind in (Kind.DISK, Kind.NIC)]
    assert np.isfinite(after[-1]).all()
    assert np.nanmin(after) >= 0
    assert np.nanmax(after[:, COLUMN[Kind.VM]["cpu_rate"]]) <= 100
    assert (_largest(after) <= 20 * usual + 1024).all()
    for part in parts:
        assert np.nanmin(part.values) >= 0
    assert alarms(product, vm) == []


def _largest(values: Floats) -> Floats:
    """Of each field that is a rate."""
    rates = [at for at, field in enumerate(FIELDS[Kind.VM]) if field.unit is Unit.KILOBYTES_PER_SECOND]
    largest: Floats = np.nanmax(values[:, rates], axis=0)
    return largest
