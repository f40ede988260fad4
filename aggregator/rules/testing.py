"""Runs rule tests: a script of samples and states, the real evaluator, the real alarm machine, a clock that is a
number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Final

import numpy as np

from aggregator.rules import durations
from aggregator.rules.evaluate import evaluate
from aggregator.rules.inventory import HostItem, HostNow, Inventory, VmItem
from aggregator.rules.language import Rule, RuleBook
from aggregator.rules.notation import Mark, Point, points
from aggregator.rules.observer import Observer
from aggregator.rules.scripted import ScriptedStore, Track
from aggregator.rules.shape import shaped
from aggregator.rules.source import RulesInvalid, Source
from aggregator.rules.trial import Expected, Trial, TrialFile
from aggregator.rules.troubles import PLATFORM, Trouble
from core.alarms.finding import Finding, Severity
from core.alarms.machine import BLANK, Transition, step
from core.compute.rows import VmState
from core.hosts.rows import HostState
from core.timeseries.fields import COLUMN, FIELDS, Kind
from core.timeseries.store import Floats

START: Final = 1_767_225_600.0
"""2026-01-01T00:00:00Z: on every grid."""
_OBJECTS: Final[Mapping[Kind, str]] = {
    Kind.HOST: "h1", Kind.VM: "v1", Kind.DISK: "v1/vda", Kind.NIC: "v1/net0", Kind.TARGET: "h1/node",
    Kind.PLATFORM: PLATFORM,
}  # fmt: skip
_SOURCES: Final = ("node", "libvirt")


@dataclass(frozen=True, slots=True)
class Seen:
    """A transition, seconds after the start, with the finding that brought it."""

    at: float
    transition: Transition
    finding: Finding

    def __str__(self) -> str:
        severity = self.transition.severity_after or self.transition.severity_before
        return (
            f"{durations.spell(self.at)} {self.transition.change} {severity.name.lower() if severity else ''}".strip()
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one test went: `problem` is empty when everything came as expected."""

    test: str
    rule: str
    fires: bool
    problem: str


def load_trials(file: FilePath) -> Sequence[Trial]:
    """Raises RulesInvalid, with file, test and field."""
    source = Source(file.name, file.read_text("utf-8"))
    trials = shaped(source, TrialFile).tests
    problems = [
        source.problem(
            ("tests", position, "series", name), "unknown series", "a field name, node.FIELD or libvirt.FIELD"
        )
        for position, trial in enumerate(trials)
        for name in trial.series
        if not _known(name)
    ]
    if problems:
        raise RulesInvalid(problems)
    return trials


def _known(name: str) -> bool:
    source, _, target_field = name.rpartition(".")
    return (
        target_field in COLUMN[Kind.TARGET] if source in _SOURCES else any(name in names for names in COLUMN.values())
    )


def run(trial: Trial, rule: Rule) -> Verdict:
    """`rule` must have been loaded for the test's scrape interval."""
    seen = play(trial, rule)
    tolerance = _evaluation_interval(trial) + 1e-6
    problem = ""
    for number in range(max(len(seen), len(trial.expect))):
        got = seen[number] if number < len(seen) else None
        wanted = trial.expect[number] if number < len(trial.expect) else None
        problem = _compare(got, wanted, tolerance)
        if problem:
            break
    return Verdict(trial.name, trial.rule, bool(trial.expect), problem)


def _compare(got: Seen | None, wanted: Expected | None, tolerance: float) -> str:
    if wanted is None:
        return f"not expected: {got}"
    said = f"{wanted.at} {wanted.change} {wanted.severity or ''}".strip()
    if got is None:
        return f"never came: {said}"
    severity = got.transition.severity_after or got.transition.severity_before
    late = got.at - durations.parse(wanted.at).seconds
    if got.transition.change is not wanted.change or not 0 <= late + 1e-6 <= tolerance + 1e-6:
        return f"expected {said}, came {got}"
    if wanted.severity is not None and severity is not Severity[wanted.severity.upper()]:
        return f"expected {said}, came {got}"
    if wanted.says is not None and wanted.says not in got.finding.content.get("en", ""):
        return f"expected the text to say {wanted.says!r}, it says {got.finding.content.get('en', '')!r}"
    return ""


def play(trial: Trial, rule: Rule) -> Sequence[Seen]:
    """All transitions of the test's object, in order."""
    scrape, every = durations.parse(trial.scrape).seconds, _evaluation_interval(trial)
    name = trial.object or _OBJECTS[rule.kind]
    script = {field: points(text) for field, text in trial.series.items()}
    scrapes = _length(trial, script, scrape)
    store = ScriptedStore(_tracks(rule.kind, name, script, scrapes, scrape), scrape, _outages(script, scrape))
    book = RuleBook((rule,), scrape)
    observer, policy, state = Observer(book, START), rule.policy(every), BLANK
    seen: list[Seen] = []
    for number in range(1, int(scrapes * scrape / every + 1e-9) + 1):
        store.now = START + number * every
        inventory = _inventory(trial, rule.kind, name, number * every)
        opened = {(rule.id, name)} if state != BLANK else set()
        view = observer.look(store, inventory, store.now, [(rule.kind, name)] if opened else ())
        outcome = evaluate(book, observer.limits(view.census), view, opened).outcomes[0]
        for finding in outcome.findings:
            if finding.object_id == name:
                state, transitions = step(state, finding, policy, store.now)
                seen.extend(Seen(number * every, transition, finding) for transition in transitions)
    return seen


def _evaluation_interval(trial: Trial) -> float:
    return durations.parse(trial.evaluate or trial.scrape).seconds


def _length(trial: Trial, script: Mapping[str, Sequence[Point]], scrape: float) -> int:
    if trial.until is not None:
        return int(durations.parse(trial.until).seconds / scrape)
    return max(len(run) for run in script.values())


def _tracks(
    kind: Kind, name: str, script: Mapping[str, Sequence[Point]], scrapes: int, scrape: float
) -> Mapping[Kind, Mapping[str, Track]]:
    """The object's samples, and those of the targets of its host, which are up unless the script says otherwise."""
    tracks: dict[Kind, dict[str, Track]] = {Kind.TARGET: {}}
    for source in _SOURCES:
        prefix = f"{source}."
        fields = {field.removeprefix(prefix): run for field, run in script.items() if field.startswith(prefix)}
        up = {"up": [Point(Mark.SEEN, 1.0)] * scrapes, **fields}
        tracks[Kind.TARGET][f"h1/{source}"] = _track(Kind.TARGET, up, scrape)
    own = {field: run for field, run in script.items() if "." not in field}
    if own:
        tracks.setdefault(kind, {})[name] = _track(kind, own, scrape)
    return tracks


def _track(kind: Kind, script: Mapping[str, Sequence[Point]], scrape: float) -> Track:
    """Sample k is taken `k` scrapes after the start; a scrape that brought no field brought no sample."""
    size = max(len(run) for run in script.values())
    values = np.full((size, len(FIELDS[kind])), np.nan)
    there = np.zeros(size, dtype=np.bool_)
    times: Floats = START + scrape * np.arange(size, dtype=np.float64)
    visible = times.copy()
    for field, run in script.items():
        for place, point in enumerate(run):
            there[place] |= point.mark in (Mark.SEEN, Mark.LATE)
            values[place, COLUMN[kind][field]] = point.value
            if point.mark is Mark.LATE:
                visible[place] += scrape
    return Track(times[there], values[there], visible[there])


def _outages(script: Mapping[str, Sequence[Point]], scrape: float) -> Sequence[tuple[float, float]]:
    return [
        (START + place * scrape, START + (place + 1) * scrape)
        for run in script.values()
        for place, point in enumerate(run)
        if point.mark is Mark.ERROR
    ]


def _inventory(trial: Trial, kind: Kind, name: str, now: float) -> Inventory:
    host = HostState[_at(trial.host_state, now, "running").upper()]
    vm = VmState[_at(trial.vm_state, now, "running").upper()]
    inventory = Inventory(
        [HostItem("h1", "h1")],
        [HostNow(int(host), bool(_at(trial.maintenance, now, "")))],
        [VmItem("v1", "v1", "t1", "h1")],
        [int(vm)],
        targets=[f"h1/{source}" for source in sorted(_SOURCES)],
        troubles={Trouble(there): frozenset({name})} if (there := _at(trial.trouble, now, "")) else {},
    )
    if kind is Kind.DISK:
        return replace(inventory, disks=[name])
    return replace(inventory, nics=[name]) if kind is Kind.NIC else inventory


def _at(timeline: Mapping[str, str | bool] | Mapping[str, Trouble | None], now: float, before: str) -> str:
    """What holds at `now`: the last entry that is not later."""
    held = sorted((durations.parse(begin).seconds, str(value or "")) for begin, value in timeline.items())
    return next((value for begin, value in reversed(held) if begin <= now), before)
