"""The whole product against kill -9: whatever it had said before is true afterwards, once.

STARVC_KILLS sets the number of rounds.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.timeseries.fields import Kind
from core.timeseries.store import Floats, Frame, Level, Lines
from tests.support.lines import agrees, naive
from tests.support.product import Product, rows
from tests.support.real import eventually

ROUNDS = int(os.environ.get("STARVC_KILLS", "5"))
FOREVER = 2.0**40
KINDS = (Kind.HOST, Kind.VM, Kind.DISK, Kind.NIC, Kind.TARGET)
RULES = """
version: 1
rules:
- {id: cpu-some, kind: vm, category: cpu, when: {threshold: {field: cpu_rate}}, severity: low,
   raise: {op: ">", value: 50}, clear: {value: 49}, message: {zh: "{object}", en: "{object}"}, runbook: Nothing.}
- {id: cpu-once, kind: vm, category: cpu, when: {threshold: {field: cpu_rate}}, severity: medium, relief: manual,
   raise: {op: ">", value: 95}, clear: {value: 94}, message: {zh: "{object}", en: "{object}"}, runbook: Nothing.}
"""


@dataclass
class Known:
    """What was acknowledged or shown before a kill. `alarms` were read after their `events`."""

    samples: dict[Kind, dict[tuple[str, float], Floats]] = field(default_factory=dict)
    final: dict[tuple[Kind, float], Lines] = field(default_factory=dict)
    alarms: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, list[str]] = field(default_factory=dict)


def by_key(frame: Frame) -> dict[tuple[str, float], Floats]:
    return {(name, at): row for name, at, row in zip(frame.objects, frame.times.tolist(), frame.values, strict=True)}


def alarms(product: Product) -> list[dict[str, Any]]:
    return rows(product.platform("cloudalarm/search", {"isfindPage": True}))


def look(product: Product) -> Known:
    known = Known()
    for alarm in alarms(product):
        history = rows(product.platform("cloudalarm/history", {"alarm.id": alarm["alarm.id"]}))
        known.events[alarm["alarm.id"]] = [f"{event['event.type']} {event['event.time']}" for event in history]
    known.alarms = {alarm["alarm.id"]: alarm for alarm in alarms(product)}
    with product.store() as store:
        for kind in KINDS:
            known.samples[kind] = by_key(store.read(kind, 0, FOREVER))
            for lines in store.read_lines(Level.MINUTE, kind, 0, FOREVER):
                if lines.final:
                    known.final[kind, lines.start] = lines
    return known


def check(product: Product, before: Known) -> None:
    """Everything known before the kill is there, once, and what there is fits together."""
    with product.store() as store:
        for kind in KINDS:
            frame = store.read(kind, 0, FOREVER)
            now = by_key(frame)
            assert len(now) == len(frame), "a sample is there twice"
            missing = before.samples[kind].keys() - now.keys()
            assert not missing, f"{len(missing)} acknowledged samples of {kind} are lost"
            for key, row in before.samples[kind].items():
                assert np.array_equal(row, now[key], equal_nan=True)
            found = store.read_lines(Level.MINUTE, kind, 0, FOREVER)
            assert len({lines.start for lines in found}) == len(found), "a window is there twice"
            for lines in found:
                assert len(set(lines.objects)) == len(lines)
        for (kind, start), lines in before.final.items():
            (again,) = store.read_lines(Level.MINUTE, kind, start, start + 1)
            assert np.array_equal(again.mean, lines.mean, equal_nan=True)
            assert np.array_equal(again.count, lines.count)
    check_alarms(look(product), before)


def check_alarms(after: Known, before: Known) -> None:
    assert before.alarms.keys() <= after.alarms.keys(), "an alarm is lost"
    per_rule = Counter(
        (alarm["alarm.objid"], alarm["alarm.level"]) for alarm in after.alarms.values() if is_open(alarm)
    )
    assert set(per_rule.values()) <= {1}, "an alarm is open twice"
    for id_, events in after.events.items():
        assert not Counter(before.events.get(id_, ())) - Counter(events), "an event is lost"
        kinds = Counter(event.split()[0] for event in events)
        assert kinds["raised"] == 1, events
        assert kinds["relieved"] <= (not is_open(after.alarms[id_])), events
        if id_ in before.alarms and not is_open(before.alarms[id_]):
            assert kinds["relieved"] == 1, events


def is_open(alarm: dict[str, Any]) -> bool:
    return bool(alarm["alarm.relieve.way"] == "none")


def break_something(product: Product, chance: random.Random) -> None:
    """So that alarms rise and clear all the time; returns when collecting has gone on."""
    vm = f"vm-sim-0000{chance.randint(1, 6)}"
    with product.store() as store:
        newest = max(store.latest(Kind.VM, 0).times, default=0.0)
        product.inject(chance.choice(["load-vm", "heal", "restart-vm"]), vm)
        eventually(lambda: max(store.latest(Kind.VM, 0).times, default=0.0) > newest)


@pytest.mark.timeout(60 + 30 * ROUNDS)
def test_kill_9_during_collection_loses_and_doubles_nothing(tmp_path: Path) -> None:
    chance = random.Random(11)
    (tmp_path / "rules.yaml").write_text(RULES, "utf-8")
    product = Product(tmp_path, scrape_interval=0.25, rules_file=tmp_path / "rules.yaml")
    before: Known | None = None
    try:
        for _ in range(ROUNDS):
            product.start()
            if before is not None:
                check(product, before)
            for _ in range(chance.randint(3, 8)):
                break_something(product, chance)
            before = look(product)
            product.kill()
        product.start()
        assert before is not None
        check(product, before)
        assert before.alarms
        assert all(before.samples.values())
    finally:
        product.stop()
    assert not product.errors()
    with product.store() as store:
        for kind in (Kind.HOST, Kind.VM, Kind.DISK, Kind.NIC):
            for lines in store.read_lines(Level.MINUTE, kind, 0, FOREVER):
                agrees(lines, naive(store.read(kind, lines.start, lines.start + 60)), whole=lines.final)
