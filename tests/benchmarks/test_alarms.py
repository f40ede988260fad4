"""How long one evaluation's alarms take: 10,000 objects, steady, in a storm, and with all timers running."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import pytest

from core.alarms.finding import Rung, Severity
from core.db.engine import Database
from tests.support.alarms import CPU, Evaluator, facts

_VMS = [f"vm-{number}" for number in range(10_000)]


@pytest.mark.benchmark
def test_settling_ten_thousand_objects(database: Database) -> None:
    evaluator = Evaluator(database, policy=replace(CPU, limit=20_000), facts=facts(*_VMS))
    calm, storm = dict.fromkeys(_VMS, "clear"), dict.fromkeys(_VMS, "raise")
    figures = {
        "all healthy": _seconds(evaluator, calm),
        "all raised at once": _seconds(evaluator, storm),
        "all open, nothing new": _seconds(evaluator, storm),
        "all relieved at once": _seconds(evaluator, calm),
    }
    timers = replace(
        evaluator, policy=replace(CPU, rule_id="slow", limit=20_000, rungs=(Rung(Severity.LOW, raise_for=9e9),))
    )
    figures["all timers started"] = _seconds(timers, storm)
    figures["all timers running"] = _seconds(timers, storm)
    for name, seconds in figures.items():
        print(f"\nalarms, 10,000 objects, {database.url.get_backend_name()}, {name}: {seconds:.3f} s", end="")
    assert len(evaluator.alarms()) == len(_VMS)


def _seconds(evaluator: Evaluator, findings: Mapping[str, str]) -> float:
    began = time.perf_counter()
    evaluator.take(findings)
    return time.perf_counter() - began
