"""The alarm machine: what one more finding makes of one rule on one object. Pure: state and time come in, state goes
out.

Each rung of a rule's ladder is a switch with a timer::

    inactive --RAISE--> pending --raise_for--> raised --CLEAR--> clearing --clear_for--> inactive
                           |                     ^                   |
                           +-- anything else     +-- anything else --+

and the alarm is what the rungs amount to: its severity is the highest rung that is on. When none is on any more it
is relieved, unless the rule wants a person to do that (it is *latched* then) or it flaps (it is held open until it
is steady).

Times are epoch seconds. Timers count evidence, not time: a gap of more than two intervals since the last evidence -
downtime, failed evaluations, missing data, a clock that was set - moves the start of a timer by the gap. NO_DATA
under `keep` and FAILED are no evidence: they change nothing at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from core.alarms.finding import AlarmPolicy, Finding, FlapPolicy, NoDataPolicy, Relief, Rung, Severity, Verdict

_TOLERATED_INTERVALS = 2.0
_NEGLIGIBLE_SCORE = 0.05
_INSTANT = 1e-6


class Phase(StrEnum):
    """LATCHED: the condition is gone and the alarm waits for a person."""

    INACTIVE = "inactive"
    PENDING = "pending"
    RAISED = "raised"
    CLEARING = "clearing"
    LATCHED = "latched"
    RELIEVED = "relieved"


class Standing(StrEnum):
    """The alarm as ISA-18.2 names it, for the person who has to do something about it."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"
    SHELVED = "shelved"


class Change(StrEnum):
    """What can happen to an alarm. The last four are done by people or by the inventory, not by findings."""

    RAISED = "raised"
    ROSE = "rose"
    FELL = "fell"
    RETURNED = "returned"
    RECURRED = "recurred"
    FLAPPING = "flapping"
    STEADY = "steady"
    RELIEVED = "relieved"
    ACKNOWLEDGED = "acknowledged"
    SHELVED = "shelved"
    OBJECT_GONE = "object_gone"
    RULE_GONE = "rule_gone"


@dataclass(frozen=True, slots=True)
class RungState:
    """`since`: the evidence has spoken for the other position since then, without interruption; None: it does not."""

    severity: Severity
    on: bool = False
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Flap:
    """A score that decays (`FlapPolicy`), as it was at `at`."""

    score: float = 0.0
    at: float = 0.0
    on: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """`severity` is the open alarm's, None: no alarm is open. `evidence_until` is kept while a timer runs."""

    rungs: tuple[RungState, ...] = ()
    severity: Severity | None = None
    evidence_until: float | None = None
    flap: Flap = Flap()
    acknowledged: bool = False
    shelved_until: float | None = None

    @property
    def phase(self) -> Phase:
        lit = [rung for rung in self.rungs if rung.on]
        if self.severity is None:
            return Phase.PENDING if lit or any(rung.since is not None for rung in self.rungs) else Phase.INACTIVE
        if not lit:
            return Phase.RAISED if self.flap.on else Phase.LATCHED
        return Phase.CLEARING if all(rung.since is not None for rung in lit) else Phase.RAISED

    def standing(self, now: float) -> Standing:
        if self.severity is None:
            return Standing.NORMAL
        if self.shelved_until is not None and now < self.shelved_until:
            return Standing.SHELVED
        if self.phase is Phase.LATCHED:
            return Standing.RETURNED
        return Standing.ACKNOWLEDGED if self.acknowledged else Standing.UNACKNOWLEDGED


BLANK = State()
"""Nothing is known and nothing is going on: this state needs no memory."""


@dataclass(frozen=True, slots=True)
class Transition:
    change: Change
    at: float
    before: Phase
    after: Phase
    severity_before: Severity | None
    severity_after: Severity | None


def step(state: State, finding: Finding, policy: AlarmPolicy, now: float) -> tuple[State, tuple[Transition, ...]]:
    """The state after one more finding, and what happened, in order."""
    verdicts = _evidence(finding.verdicts, policy.no_data)
    if verdicts is None or (state == BLANK and Verdict.RAISE not in verdicts):
        return state, ()
    rungs = _climb(_resumed(state, policy, now), verdicts, policy.rungs, now)
    active = _top(rungs)
    flap = _flap(state.flap, policy.flap, toggled=active != _top(state.rungs), now=now)
    severity = _severity(state.severity, active, policy.relief, flap)
    if severity is None and not any(rung.on or rung.since is not None for rung in rungs) and flap.score == 0:
        after = BLANK
    else:
        timed = any(rung.since is not None for rung in rungs)
        after = replace(state, rungs=rungs, severity=severity, evidence_until=now if timed else None, flap=flap)
    if after == state:
        return state, ()
    changes = _changes(state, after)
    if severity is None:
        after = replace(after, acknowledged=False, shelved_until=None)
    elif Change.ROSE in changes or Change.RECURRED in changes:
        after = replace(after, acknowledged=False)
    return after, tuple(_transition(change, state, after, now) for change in changes)


def relieve(state: State, now: float) -> tuple[State, Transition]:
    """A person says that it is over. Should the condition still hold, it has to hold for `raise_for` again."""
    return BLANK, Transition(Change.RELIEVED, now, state.phase, Phase.RELIEVED, state.severity, None)


def close(state: State, change: Change, now: float) -> tuple[State, Transition]:
    """The rule or the object is gone (`change`), and the alarm with it."""
    return BLANK, Transition(change, now, state.phase, Phase.RELIEVED, state.severity, None)


def acknowledge(state: State, now: float) -> tuple[State, Transition]:
    """A person has seen it. A rise or a recurrence takes that back; a fall does not."""
    after = replace(state, acknowledged=True)
    return after, _transition(Change.ACKNOWLEDGED, state, after, now)


def shelve(state: State, until: float, now: float) -> tuple[State, Transition]:
    """A person does not want to hear of it until then. Detection and relief go on."""
    after = replace(state, shelved_until=until)
    return after, _transition(Change.SHELVED, state, after, now)


def _evidence(verdicts: Sequence[Verdict], no_data: NoDataPolicy) -> Sequence[Verdict] | None:
    """RAISE, HOLD or CLEAR for each rung, or None. Missing data raises the lowest rung only: it proves no worse."""
    if Verdict.FAILED in verdicts:
        return None
    if Verdict.NO_DATA not in verdicts:
        return verdicts
    match no_data:
        case NoDataPolicy.KEEP:
            return None
        case NoDataPolicy.CLEAR:
            return [Verdict.CLEAR] * len(verdicts)
        case NoDataPolicy.RAISE:
            return [Verdict.RAISE] + [Verdict.HOLD] * (len(verdicts) - 1)


def _resumed(state: State, policy: AlarmPolicy, now: float) -> dict[Severity, RungState]:
    """The rungs with their timers moved by what was no evidence; by severity, so that an edited ladder keeps what it
    can.
    """
    gap = 0.0 if state.evidence_until is None else now - state.evidence_until
    if 0.0 <= gap <= _TOLERATED_INTERVALS * policy.interval + _INSTANT:
        return {rung.severity: rung for rung in state.rungs}
    return {r.severity: r if r.since is None else replace(r, since=r.since + gap) for r in state.rungs}


def _climb(
    rungs: dict[Severity, RungState], verdicts: Sequence[Verdict], ladder: Sequence[Rung], now: float
) -> tuple[RungState, ...]:
    """Every rung one step on. A rung that comes on carries those below it whose condition holds too: when the alarm
    leaves the higher one it descends to them, instead of ending and beginning anew.
    """
    after: list[RungState] = []
    carried = False
    for spec, verdict in zip(reversed(ladder), reversed(verdicts), strict=True):
        before = rungs.get(spec.severity) or RungState(spec.severity)
        rung = _advance(before, verdict, spec, now)
        if carried and not rung.on and verdict is Verdict.RAISE:
            rung = RungState(spec.severity, on=True)
        carried = carried or (rung.on and not before.on)
        after.append(rung)
    return tuple(reversed(after))


def _advance(rung: RungState, verdict: Verdict, spec: Rung, now: float) -> RungState:
    wanted, hold = (Verdict.CLEAR, spec.clear_for) if rung.on else (Verdict.RAISE, spec.raise_for)
    if verdict is not wanted:
        return RungState(rung.severity, on=rung.on)
    since = now if rung.since is None else rung.since
    return RungState(rung.severity, on=not rung.on) if now - since >= hold - _INSTANT else replace(rung, since=since)


def _top(rungs: Sequence[RungState]) -> Severity | None:
    return max((rung.severity for rung in rungs if rung.on), default=None)


def _flap(flap: Flap, policy: FlapPolicy, *, toggled: bool, now: float) -> Flap:
    """Rewritten only when something happened, so that a quiet alarm stays equal to itself."""
    score = flap.score * 0.5 ** (max(0.0, now - flap.at) / policy.half_life) + toggled
    on = score >= (policy.lo if flap.on else policy.hi)
    if not toggled and score < _NEGLIGIBLE_SCORE:
        return Flap()
    return Flap(score, now, on) if toggled or on != flap.on else flap


def _severity(before: Severity | None, active: Severity | None, relief: Relief, flap: Flap) -> Severity | None:
    if flap.on:
        return max((severity for severity in (before, active) if severity is not None), default=None)
    if active is None and relief is Relief.MANUAL:
        return before
    return active


def _changes(before: State, after: State) -> list[Change]:
    if before.severity is None or after.severity is None:
        if before.severity is after.severity:
            return []
        if after.severity is None:
            return [*([Change.STEADY] if before.flap.on else []), Change.RELIEVED]
        return [Change.RAISED, *([Change.FLAPPING] if after.flap.on else [])]
    happened = {
        Change.STEADY: before.flap.on and not after.flap.on,
        Change.RECURRED: before.phase is Phase.LATCHED and after.phase is not Phase.LATCHED,
        Change.ROSE: after.severity > before.severity,
        Change.FELL: after.severity < before.severity,
        Change.FLAPPING: after.flap.on and not before.flap.on,
        Change.RETURNED: after.phase is Phase.LATCHED and before.phase is not Phase.LATCHED,
    }
    return [change for change, did in happened.items() if did]


def _transition(change: Change, before: State, after: State, now: float) -> Transition:
    phase = Phase.RELIEVED if after.severity is None else after.phase
    return Transition(change, now, before.phase, phase, before.severity, after.severity)
