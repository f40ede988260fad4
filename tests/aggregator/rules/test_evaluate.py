"""Evaluation over arrays: the same as object by object, and safe wherever something is missing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.rules.evaluate import Evaluated, evaluate
from aggregator.rules.facts import Facts
from aggregator.rules.inventory import HostItem, HostNow, Inventory, VmItem
from aggregator.rules.language import RuleBook
from aggregator.rules.load import parse_rules
from aggregator.rules.observer import Observer
from aggregator.rules.regression import fit
from aggregator.rules.scripted import ScriptedStore, Track
from core.alarms.finding import Finding, Verdict
from core.compute.rows import VmState
from core.hosts.rows import HostState
from core.timeseries.fields import COLUMN, FIELDS, Kind

NOW = 10_000.0
HEAD = "    category: c\n    message: {zh: '{object} {value}', en: '{object} {value}{unit} {limit}'}\n    runbook: r\n"


def book(body: str, kind: str = "vm") -> RuleBook:
    return RuleBook(
        parse_rules("t.yaml", f"version: 1\nrules:\n  - id: rule\n    kind: {kind}\n{HEAD}{body}", 10.0), 10.0
    )


def vms(count: int, states: dict[int, VmState] | None = None, host: HostNow | None = None) -> Inventory:
    named = [f"v{n:02}" for n in range(count)]
    return Inventory(
        [HostItem("h1", "h1", (("origin", "registered"),))], [host or HostNow(HostState.RUNNING)],
        [
            VmItem(name, f"vm {name}", f"t{n % 2}", "h1", (("type", "big" if n % 3 else "small"),))
            for n, name in enumerate(named)
        ],
        [int((states or {}).get(n, VmState.RUNNING)) for n in range(count)],
        targets=["h1/libvirt", "h1/node"],
    )  # fmt: skip


def store(kind: Kind, values: dict[str, dict[str, float]], age: float = 5.0) -> ScriptedStore:
    tracks = {}
    for name, fields in values.items():
        row = np.full((1, len(FIELDS[kind])), np.nan)
        for field, value in fields.items():
            row[0, COLUMN[kind][field]] = value
        tracks[name] = Track(np.array([NOW - age]), row, np.array([NOW - age]))
    return ScriptedStore({kind: tracks}, 10.0, now=NOW)


def look(
    rules: RuleBook, inventory: Inventory, samples: ScriptedStore, opened: set[tuple[str, str]] | None = None
) -> Evaluated:
    observer = Observer(rules, NOW - 7200)
    view = observer.look(samples, inventory, NOW, [(rules.rules[0].kind, name) for _, name in opened or ()])
    return evaluate(rules, observer.limits(view.census), view, opened or set())


def findings(evaluated: Evaluated) -> dict[str, Finding]:
    return {finding.object_id: finding for finding in evaluated.outcomes[0].findings}


THRESHOLD = """
    when: {threshold: {field: cpu_rate}}
    levels:
      - {severity: low, raise: {op: "%s", value: %s}, clear: {value: %s}}
      - {severity: high, raise: {op: "%s", value: %s}, clear: {value: %s}}
"""
LIMITS = st.tuples(*[st.integers(0, 20).map(float)] * 4).map(sorted)
VALUES = st.lists(st.one_of(st.none(), st.integers(-2, 22).map(float)), min_size=1, max_size=12)


def naive(value: float | None, op: str, raise_at: float, clear_at: float) -> Verdict:
    compare = {">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b}[
        op
    ]
    if value is None:
        return Verdict.NO_DATA
    if compare(value, raise_at):
        return Verdict.RAISE
    return Verdict.HOLD if compare(value, clear_at) else Verdict.CLEAR


@given(op=st.sampled_from([">", ">=", "<", "<="]), limits=LIMITS, values=VALUES)
def test_arrays_say_what_each_object_says_by_itself(op: str, limits: list[float], values: list[float | None]) -> None:
    a, b, c, d = limits
    bands = [(b, a), (d, c)] if op in (">", ">=") else [(c, d), (a, b)]
    rules = book(THRESHOLD % (op, *bands[0], op, *bands[1]))
    samples = {f"v{n:02}": {"cpu_rate": value} for n, value in enumerate(values) if value is not None}
    opened = {("rule", f"v{n:02}") for n in range(len(values))}
    found = findings(look(rules, vms(len(values)), store(Kind.VM, samples), opened))
    for number, value in enumerate(values):
        assert found[f"v{number:02}"].verdicts == tuple(naive(value, op, *band) for band in bands)


ORDER = [Verdict.CLEAR, Verdict.HOLD, Verdict.NO_DATA, Verdict.RAISE]


@given(
    how=st.sampled_from(["any", "all"]),
    values=st.lists(st.tuples(*[st.one_of(st.none(), st.integers(0, 9))] * 3), min_size=1),
)
def test_composites_are_three_valued(how: str, values: list[tuple[int | None, ...]]) -> None:
    fields = ("cpu_rate", "mem_rate", "net_up")
    parts = "".join(
        f"\n      - {{threshold: {{field: {field}}}, raise: {{op: '>', value: 6}}, clear: {{value: 3}}}}"
        for field in fields
    )
    rules = book(f"    when:\n     {how}:{parts}\n    severity: low\n")
    samples = {
        f"v{n:02}": {field: float(value) for field, value in zip(fields, row, strict=True) if value is not None}
        for n, row in enumerate(values)
    }
    opened = {("rule", name) for name in samples}
    found = findings(look(rules, vms(len(values)), store(Kind.VM, samples), opened))
    order = ORDER if how == "any" else [Verdict.RAISE, Verdict.HOLD, Verdict.NO_DATA, Verdict.CLEAR]
    for number, row in enumerate(values):
        each = [naive(value, ">", 6, 3) for value in row]  # type: ignore[arg-type]
        assert found[f"v{number:02}"].verdicts == (max(each, key=order.index),)


SIMPLE = '    when: {threshold: {field: cpu_rate}}\n    severity: low\n    raise: {op: ">", value: 50}\n'


def test_only_what_matters_becomes_a_finding() -> None:
    samples = store(Kind.VM, {"v00": {"cpu_rate": 90}, "v01": {"cpu_rate": 10}, "v02": {"cpu_rate": 10}})
    found = findings(look(book(SIMPLE), vms(4), samples, {("rule", "v01"), ("rule", "v03")}))
    assert {name: finding.verdicts for name, finding in found.items()} == {
        "v00": (Verdict.RAISE,), "v01": (Verdict.CLEAR,), "v03": (Verdict.NO_DATA,),
    }  # fmt: skip
    assert found["v00"].content == {"zh": "vm v00 90", "en": "vm v00 90% 50"}
    assert found["v00"].reason == "cpu_rate is 90%: > 50%"


def test_a_value_older_than_three_scrapes_is_no_data() -> None:
    opened = {("rule", "v00")}
    for age, verdict in ((29.0, Verdict.RAISE), (31.0, Verdict.NO_DATA)):
        samples = store(Kind.VM, {"v00": {"cpu_rate": 90}}, age)
        assert findings(look(book(SIMPLE), vms(1), samples, opened))["v00"].verdicts == (verdict,)


def test_no_data_speaks_for_itself_only_when_the_rule_wants_it() -> None:
    empty = store(Kind.VM, {})
    assert findings(look(book(SIMPLE), vms(1), empty)) == {}
    assert findings(look(book(SIMPLE + "    no_data: raise\n"), vms(1), empty))["v00"].verdicts == (Verdict.NO_DATA,)


def test_a_failed_query_fails_what_is_open_and_begins_nothing() -> None:
    samples = replace(store(Kind.VM, {"v00": {"cpu_rate": 90}}), outages=[(0.0, 1e9)])
    evaluated = look(book(SIMPLE + "    no_data: raise\n"), vms(3), samples, {("rule", "v01")})
    assert evaluated.degraded
    assert {name: finding.verdicts for name, finding in findings(evaluated).items()} == {"v01": (Verdict.FAILED,)}


@pytest.mark.parametrize(
    ("state", "verdict"),
    [(VmState.RUNNING, Verdict.RAISE), (VmState.FAULT_DETECTING, Verdict.RAISE), (VmState.STOPPED, Verdict.CLEAR),
     (VmState.SUSPENDED, Verdict.HOLD), (VmState.INSTALLING, Verdict.HOLD), (VmState.CREATE_FAILED, Verdict.HOLD)],
)  # fmt: skip
def test_a_vm_that_is_not_meant_to_run_raises_nothing(state: VmState, verdict: Verdict) -> None:
    samples = store(Kind.VM, {"v00": {"cpu_rate": 90}})
    found = findings(look(book(SIMPLE), vms(1, {0: state}), samples, {("rule", "v00")}))
    assert found["v00"].verdicts == (verdict,)


def test_maintenance_raises_nothing_and_clears() -> None:
    inventory = vms(2, host=HostNow(HostState.RUNNING, maintenance=True))
    samples = store(Kind.VM, {"v00": {"cpu_rate": 90}, "v01": {"cpu_rate": 10}})
    evaluated = look(book(SIMPLE), inventory, samples, {("rule", "v00"), ("rule", "v01")})
    found = findings(evaluated)
    assert found["v00"].verdicts == (Verdict.HOLD,)
    assert "maintenance" in found["v00"].reason
    assert found["v01"].verdicts == (Verdict.CLEAR,)
    assert not Facts(evaluated.view, Kind.VM)["v00"].in_service


def test_the_more_exact_override_wins() -> None:
    rules = book(
        SIMPLE
        + """
    overrides:
      - {match: {vm: v03}, levels: {low: {raise: 95}}}
      - {match: {host: h1}, levels: {low: {raise: 80}}}
      - {match: {tenant: t0}, levels: {low: {raise: 60}}}
      - {match: {label: {type: big}}, levels: {low: {raise: 70}}}
      - {match: {vm: v04}, disabled: true}
"""
    )
    everything = {("rule", f"v{n:02}") for n in range(6)}
    samples = store(Kind.VM, {f"v{n:02}": {"cpu_rate": 85} for n in range(6)})
    found = findings(look(rules, vms(6), samples, everything))
    assert [found[f"v{n:02}"].verdicts[0] for n in range(6)] == [
        Verdict.RAISE, Verdict.RAISE, Verdict.RAISE, Verdict.CLEAR, Verdict.CLEAR, Verdict.RAISE,
    ]  # fmt: skip
    assert found["v00"].content["en"].endswith(" 80")
    assert found["v04"].reason == "an override disables the rule for this object"


def test_labels_and_tenants_choose_by_owner() -> None:
    rules = book(
        SIMPLE
        + """
    overrides:
      - {match: {tenant: t0}, levels: {low: {raise: 60}}}
      - {match: {label: {type: big}}, levels: {low: {raise: 90}}}
"""
    )
    samples = store(Kind.VM, {f"v{n:02}": {"cpu_rate": 55 + 15 * (n == 2)} for n in range(4)})
    everything = {("rule", f"v{n:02}") for n in range(4)}
    found = findings(look(rules, vms(4), samples, everything))
    assert [found[f"v{n:02}"].verdicts[0] for n in range(4)] == [Verdict.CLEAR] * 3 + [Verdict.RAISE]
    limits = {name: finding.content["en"].split()[-1] for name, finding in found.items()}
    assert limits == {"v00": "60", "v01": "90", "v02": "90", "v03": "50"}


def test_a_host_device_is_expected_once_it_was_seen_and_for_an_hour_after() -> None:
    rules = book(
        '    when: {threshold: {field: used, percent_of: size}}\n    severity: low\n    raise: {op: ">", value: 90}\n',
        "disk",
    )
    samples = store(Kind.DISK, {"h1/sda": {"used": 95, "size": 100}, "stranger/sda": {"used": 95, "size": 100}})
    observer, inventory = Observer(rules, NOW - 60), vms(1)
    assert "h1/sda" in Facts(observer.look(samples, inventory, NOW), Kind.DISK)
    assert "stranger/sda" not in Facts(observer.look(samples, inventory, NOW), Kind.DISK)
    assert "h1/sda" in Facts(observer.look(samples, inventory, NOW + 3500), Kind.DISK)
    assert "h1/sda" not in Facts(observer.look(samples, inventory, NOW + 3700), Kind.DISK)


def test_a_host_device_with_an_open_alarm_is_not_gone_after_a_restart() -> None:
    rules = book(
        '    when: {threshold: {field: used, percent_of: size}}\n    severity: low\n    raise: {op: ">", value: 90}\n',
        "disk",
    )
    observer = Observer(rules, NOW)
    view = observer.look(store(Kind.DISK, {}), vms(1), NOW, [(Kind.DISK, "h1/sda")])
    assert "h1/sda" in Facts(view, Kind.DISK)


def test_silence_before_we_watched_is_no_evidence() -> None:
    rules = book("    when: {no_data: {for: 3m}}\n    severity: low\n")
    observer, silent = Observer(rules, NOW), store(Kind.VM, {})
    opened = {("rule", "v00")}
    for later, verdict in ((170.0, Verdict.NO_DATA), (190.0, Verdict.RAISE)):
        view = observer.look(silent, vms(1), NOW + later)
        found = evaluate(rules, observer.limits(view.census), view, opened).outcomes[0].findings
        assert found[0].verdicts == (verdict,)


@given(
    slope=st.floats(-5, 5),
    start=st.floats(0, 100),
    gaps=st.sets(st.integers(0, 59), max_size=25),
    size=st.integers(1, 4),
)
def test_a_line_is_found_through_gaps(slope: float, start: float, gaps: set[int], size: int) -> None:
    times = np.arange(60) * 60.0
    values = np.repeat((start + slope * times)[:, None], size, axis=1)
    values[sorted(gaps), 0] = np.nan
    line = fit(times, values, least=3)
    assert line.slope == pytest.approx(slope, abs=1e-6)
    until = line.until(start + 10_000 * 60.0, now=times[-1])
    if slope > 1e-3:
        assert until == pytest.approx((600_000.0 - slope * times[-1]) / slope, rel=1e-3, abs=1.0)
    elif slope < -1e-3:
        assert all(math.isinf(seconds) for seconds in until)
