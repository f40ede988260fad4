"""The alarm machine: every cell of its table, and properties over any sequence of findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.alarms import machine
from core.alarms.finding import AlarmPolicy, Finding, FlapPolicy, NoDataPolicy, Relief, Rung, Severity, Verdict
from core.alarms.machine import BLANK, Change, Phase, Standing, State
from core.timeseries.fields import Kind

RAISE, HOLD, CLEAR, NO_DATA, FAILED = Verdict
LOW, MEDIUM, HIGH = Severity
NEVER_FLAPS = FlapPolicy(hi=1e9, half_life=1.0)


def policy(*rungs: Rung, **others: object) -> AlarmPolicy:
    ladder = rungs or (Rung(HIGH, raise_for=20, clear_for=10),)
    return AlarmPolicy("rule", Kind.VM, "cpu", ladder, **{"flap": NEVER_FLAPS, **others})  # type: ignore[arg-type]


def run(
    rule: AlarmPolicy,
    *findings: Verdict | tuple[Verdict, ...],
    state: State = BLANK,
    start: float = 1000.0,
    every: float = 10.0,
) -> tuple[State, list[tuple[float, Change]]]:
    """The state after the findings, one each interval, and what happened at which second after the first."""
    happened: list[tuple[float, Change]] = []
    for position, verdicts in enumerate(findings):
        now = start + position * every
        several = verdicts if isinstance(verdicts, tuple) else (verdicts,) * len(rule.rungs)
        state, transitions = machine.step(state, Finding("vm-1", several), rule, now)
        happened += [(now - start, transition.change) for transition in transitions]
    return state, happened


def test_an_alarm_is_raised_when_its_condition_held_and_relieved_when_the_clear_condition_held() -> None:
    state, happened = run(policy(), RAISE, RAISE, RAISE, CLEAR, CLEAR, CLEAR)
    assert happened == [(20.0, Change.RAISED), (40.0, Change.RELIEVED)]
    assert state == BLANK


@pytest.mark.parametrize(
    ("findings", "phase"),
    [
        ((), Phase.INACTIVE),
        ((RAISE,), Phase.PENDING),
        ((RAISE, CLEAR), Phase.INACTIVE),
        ((RAISE, HOLD), Phase.INACTIVE),
        ((RAISE, RAISE, RAISE), Phase.RAISED),
        ((RAISE, RAISE, RAISE, HOLD), Phase.RAISED),
        ((RAISE, RAISE, RAISE, CLEAR), Phase.CLEARING),
        ((RAISE, RAISE, RAISE, CLEAR, HOLD), Phase.RAISED),
        ((RAISE, RAISE, RAISE, CLEAR, RAISE), Phase.RAISED),
        ((RAISE, RAISE, RAISE, CLEAR, CLEAR), Phase.INACTIVE),
    ],
)
def test_the_phases_of_one_rung(findings: tuple[Verdict, ...], phase: Phase) -> None:
    assert run(policy(), *findings)[0].phase is phase


@pytest.mark.parametrize("before", [(), (RAISE,), (RAISE, RAISE, RAISE), (RAISE, RAISE, RAISE, CLEAR)])
def test_a_failed_evaluation_changes_nothing_at_all(before: tuple[Verdict, ...]) -> None:
    state, _ = run(policy(no_data=NoDataPolicy.CLEAR), *before)
    assert run(policy(no_data=NoDataPolicy.CLEAR), *(FAILED,) * 50, state=state, start=5000.0) == (state, [])


@pytest.mark.parametrize(
    ("what", "happened"),
    [
        (NoDataPolicy.KEEP, []),
        (NoDataPolicy.RAISE, [(20.0, Change.RAISED)]),
        (NoDataPolicy.CLEAR, []),
    ],
)
def test_missing_data_raises_only_where_the_rule_says_so(
    what: NoDataPolicy, happened: list[tuple[float, Change]]
) -> None:
    assert run(policy(no_data=what), NO_DATA, NO_DATA, NO_DATA)[1] == happened


@pytest.mark.parametrize(
    ("what", "happened"),
    [
        (NoDataPolicy.KEEP, []),
        (NoDataPolicy.RAISE, []),
        (NoDataPolicy.CLEAR, [(10.0, Change.RELIEVED)]),
    ],
)
def test_missing_data_relieves_only_where_the_rule_says_so(
    what: NoDataPolicy, happened: list[tuple[float, Change]]
) -> None:
    state, _ = run(policy(), RAISE, RAISE, RAISE)
    assert run(policy(no_data=what), NO_DATA, NO_DATA, NO_DATA, state=state, start=1030.0)[1] == happened


def test_missing_data_raises_the_lowest_rung_only() -> None:
    ladder = (Rung(LOW), Rung(HIGH))
    assert run(policy(*ladder, no_data=NoDataPolicy.RAISE), NO_DATA)[0].severity is LOW


@pytest.mark.parametrize(
    ("gap", "raised"),
    [(10.0, True), (20.0, True), (20.5, False), (3600.0, False), (-3600.0, False)],
    ids=["next slot", "one slot missed", "more", "an hour down", "the clock was set back"],
)
def test_downtime_is_not_evidence(gap: float, raised: bool) -> None:
    rule = policy(Rung(HIGH, raise_for=20))
    pending, _ = run(rule, RAISE, RAISE)
    state, transitions = machine.step(pending, Finding("vm-1", (RAISE,)), rule, 1010.0 + gap)
    assert (state.severity is HIGH) == raised
    if not raised:
        state, transitions = machine.step(state, Finding("vm-1", (RAISE,)), rule, 1020.0 + gap)
        assert [transition.change for transition in transitions] == [Change.RAISED]


def test_a_ladder_climbs_and_descends_with_one_alarm() -> None:
    ladder = (Rung(LOW), Rung(MEDIUM), Rung(HIGH))
    calm, low, medium, high = (CLEAR,) * 3, (RAISE, CLEAR, CLEAR), (RAISE, RAISE, CLEAR), (RAISE,) * 3
    state, happened = run(policy(*ladder), low, medium, high, medium, low, calm, calm)
    changes = [change for _, change in happened]
    assert changes == [Change.RAISED, Change.ROSE, Change.ROSE, Change.FELL, Change.FELL, Change.RELIEVED]
    assert state == BLANK


def test_a_higher_rung_carries_the_lower_ones_whose_condition_holds() -> None:
    ladder = (Rung(LOW, raise_for=600), Rung(HIGH))
    state, happened = run(policy(*ladder), (RAISE, RAISE), (HOLD, CLEAR))
    assert [change for _, change in happened] == [Change.RAISED, Change.FELL]
    assert state.severity is LOW


def test_a_rung_that_was_edited_away_ends_with_the_next_evidence_only() -> None:
    both = policy(Rung(LOW), Rung(HIGH))
    state, _ = run(both, (RAISE, RAISE))
    low_only = policy(Rung(LOW))
    assert run(low_only, FAILED, state=state)[0].severity is HIGH
    assert run(low_only, RAISE, state=state)[1] == [(0.0, Change.FELL)]


def test_a_manual_alarm_is_latched_until_a_person_relieves_it() -> None:
    rule = policy(Rung(HIGH), relief=Relief.MANUAL)
    state, happened = run(rule, RAISE, CLEAR, CLEAR, RAISE, CLEAR)
    changes = [change for _, change in happened]
    assert changes == [Change.RAISED, Change.RETURNED, Change.RECURRED, Change.RETURNED]
    assert state.phase is Phase.LATCHED
    state, transition = machine.relieve(state, 2000.0)
    assert (state, transition.change, transition.after) == (BLANK, Change.RELIEVED, Phase.RELIEVED)


def test_a_relieved_alarm_whose_condition_holds_must_hold_its_whole_time_again() -> None:
    raised, _ = run(policy(), RAISE, RAISE, RAISE)
    state, _ = machine.relieve(raised, 1021.0)
    assert run(policy(), RAISE, RAISE, RAISE, state=state, start=1030.0)[1] == [(20.0, Change.RAISED)]


FLAPPING = FlapPolicy(hi=4.5, lo=1.0, half_life=600.0)


def test_flapping_is_told_once_and_holds_the_alarm_until_it_is_steady() -> None:
    rule = policy(Rung(HIGH), flap=FLAPPING)
    state, happened = run(rule, *(RAISE, CLEAR) * 10)
    changes = [change for _, change in happened]
    assert changes == [Change.RAISED, Change.RELIEVED] * 2 + [Change.RAISED, Change.FLAPPING]
    assert state.phase is Phase.RAISED
    assert state.severity is HIGH
    quiet, happened = run(rule, *(CLEAR,) * 600, state=state, start=1200.0)
    assert [change for _, change in happened] == [Change.STEADY, Change.RELIEVED]
    assert quiet == BLANK


def test_flapping_ends_before_the_alarm_does_when_the_condition_stays() -> None:
    rule = policy(Rung(HIGH), flap=FLAPPING)
    state, _ = run(rule, *(RAISE, CLEAR) * 10, RAISE)
    state, happened = run(rule, *(RAISE,) * 300, state=state, start=1210.0)
    assert [change for _, change in happened] == [Change.STEADY]
    assert state.severity is HIGH


def test_a_rise_is_told_while_flapping_and_a_fall_is_not() -> None:
    rule = policy(Rung(LOW), Rung(HIGH), flap=FLAPPING)
    low, calm, high = (RAISE, CLEAR), (CLEAR, CLEAR), (RAISE, RAISE)
    state, _ = run(rule, *(low, calm) * 4)
    assert run(rule, low, high, low, calm, state=state, start=1080.0)[1] == [(10.0, Change.ROSE)]


def test_a_manual_alarm_that_flapped_is_latched_when_it_is_steady() -> None:
    rule = policy(Rung(HIGH), relief=Relief.MANUAL, flap=FLAPPING)
    state, happened = run(rule, *(RAISE, CLEAR) * 10, *(CLEAR,) * 300)
    assert [change for _, change in happened][-2:] == [Change.STEADY, Change.RETURNED]
    assert state.phase is Phase.LATCHED


@dataclass(frozen=True)
class Cell:
    """One cell of the ISA-18.2 table: from a standing, by an event, to a standing."""

    standing: Standing
    event: str
    auto: Standing
    manual: Standing = field(default=Standing.NORMAL)


N, U, A, R, S = Standing
TABLE = [
    Cell(N, "raise", U, U), Cell(N, "clear", N, N), Cell(N, "failed", N, N),
    Cell(U, "raise", U, U), Cell(U, "rise", U, U), Cell(U, "fall", U, U), Cell(U, "clear", N, R),
    Cell(U, "failed", U, U), Cell(U, "acknowledge", A, A), Cell(U, "shelve", S, S), Cell(U, "relieve", N, N),
    Cell(A, "raise", A, A), Cell(A, "rise", U, U), Cell(A, "fall", A, A), Cell(A, "clear", N, R),
    Cell(A, "failed", A, A), Cell(A, "acknowledge", A, A), Cell(A, "shelve", S, S), Cell(A, "relieve", N, N),
    Cell(R, "raise", R, U), Cell(R, "rise", R, U), Cell(R, "fall", R, U), Cell(R, "clear", R, R),
    Cell(R, "failed", R, R), Cell(R, "acknowledge", R, R), Cell(R, "shelve", R, S), Cell(R, "relieve", R, N),
    Cell(S, "raise", S, S), Cell(S, "rise", S, S), Cell(S, "fall", S, S), Cell(S, "clear", N, S),
    Cell(S, "failed", S, S), Cell(S, "acknowledge", S, S), Cell(S, "shelve", S, S), Cell(S, "relieve", N, N),
    Cell(S, "time", A, A),
]  # fmt: skip


CELLS = [(cell, relief) for cell in TABLE for relief in Relief if cell.standing is not R or relief is Relief.MANUAL]


@pytest.mark.parametrize(
    ("cell", "relief"), [pytest.param(*one, id=f"{one[0].standing}-{one[0].event}-{one[1]}") for one in CELLS]
)
def test_the_isa_18_2_table_cell_by_cell(cell: Cell, relief: Relief) -> None:
    """An alarm that relieves itself never waits for a person: RETURNED has a column for manual relief only."""
    rule = policy(Rung(LOW), Rung(MEDIUM), Rung(HIGH), relief=relief)
    before = _standing(cell.standing, rule)
    assert before.standing(100.0) is cell.standing
    now = 1e6 if cell.event == "time" else 110.0
    after = _after(before, cell.event, rule)
    assert after.standing(now) is (cell.auto if relief is Relief.AUTO else cell.manual)


def _standing(standing: Standing, rule: AlarmPolicy) -> State:
    medium, _ = machine.step(BLANK, Finding("vm-1", (RAISE, RAISE, CLEAR)), rule, 50.0)
    match standing:
        case Standing.NORMAL:
            return BLANK
        case Standing.UNACKNOWLEDGED:
            return medium
        case Standing.ACKNOWLEDGED:
            return machine.acknowledge(medium, 60.0)[0]
        case Standing.RETURNED:
            return machine.step(medium, Finding("vm-1", (CLEAR,) * 3), rule, 60.0)[0]
        case Standing.SHELVED:
            return machine.shelve(machine.acknowledge(medium, 60.0)[0], 1000.0, 61.0)[0]


def _after(state: State, event: str, rule: AlarmPolicy) -> State:
    findings = {
        "raise": (RAISE, RAISE, CLEAR),
        "rise": (RAISE, RAISE, RAISE),
        "fall": (RAISE, CLEAR, CLEAR),
        "clear": (CLEAR, CLEAR, CLEAR),
        "failed": (FAILED, FAILED, FAILED),
    }
    if event in findings:
        return machine.step(state, Finding("vm-1", findings[event]), rule, 110.0)[0]
    acts = {
        "acknowledge": lambda: machine.acknowledge(state, 110.0)[0],
        "relieve": lambda: machine.relieve(state, 110.0)[0],
        "shelve": lambda: machine.shelve(state, 1000.0, 110.0)[0],
        "time": lambda: state,
    }
    return acts[event]()


def test_a_rise_while_shelved_is_to_be_acknowledged_when_the_shelf_ends() -> None:
    rule = policy(Rung(LOW), Rung(HIGH))
    state, _ = run(rule, (RAISE, CLEAR))
    state, _ = machine.shelve(machine.acknowledge(state, 1001.0)[0], 2000.0, 1001.0)
    state, _ = machine.step(state, Finding("vm-1", (RAISE, RAISE)), rule, 1010.0)
    assert state.standing(2001.0) is Standing.UNACKNOWLEDGED


ladders = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=3).map(
    lambda spans: tuple(
        Rung(severity, float(up), float(down)) for severity, (up, down) in zip(Severity, spans, strict=False)
    )
)
steps = st.lists(st.tuples(st.integers(1, 60), st.lists(st.sampled_from(Verdict), min_size=3, max_size=3)), max_size=60)
policies = st.builds(
    lambda rungs, no_data, relief, flap: policy(*rungs, no_data=no_data, relief=relief, flap=flap),
    ladders,
    st.sampled_from(NoDataPolicy),
    st.sampled_from(Relief),
    st.sampled_from([NEVER_FLAPS, FlapPolicy(hi=3.5, lo=1.0, half_life=60.0)]),
)


@given(policies, steps)
def test_no_sequence_gives_two_open_alarms_a_negative_timer_or_a_relief_without_evidence(
    rule: AlarmPolicy, sequence: list[tuple[int, list[Verdict]]]
) -> None:
    state, now, is_open, flapping = BLANK, 0.0, False, False
    for pause, verdicts in sequence:
        now += pause
        finding = Finding("vm-1", tuple(verdicts[: len(rule.rungs)]))
        before = state
        state, transitions = machine.step(state, finding, rule, now)
        for transition in transitions:
            match transition.change:
                case Change.RAISED:
                    assert not is_open
                    is_open = True
                case Change.RELIEVED:
                    assert is_open
                    assert rule.relief is Relief.AUTO
                    is_open = False
                case Change.FLAPPING:
                    assert not flapping
                    flapping = True
                case Change.STEADY:
                    assert flapping
                    flapping = False
                case _:
                    assert is_open
        assert is_open == (state.severity is not None)
        assert all(rung.since is None or rung.since <= now for rung in state.rungs)
        assert state.evidence_until is None or state.evidence_until == now or state == before
        if _silent(finding.verdicts, rule):
            assert (state, transitions) == (before, ())
        if Change.RELIEVED in {transition.change for transition in transitions}:
            assert Verdict.RAISE not in finding.verdicts


def _silent(verdicts: Sequence[Verdict], rule: AlarmPolicy) -> bool:
    return FAILED in verdicts or (NO_DATA in verdicts and rule.no_data is NoDataPolicy.KEEP)


@dataclass
class Counted:
    """A rung that counts the seconds of evidence it has seen, the obvious way."""

    on: bool = False
    held: float | None = None

    def take(self, verdict: Verdict, rung: Rung, passed: float) -> None:
        if verdict is not (CLEAR if self.on else RAISE):
            self.held = None
            return
        self.held = 0.0 if self.held is None else self.held + passed
        if self.held >= (rung.clear_for if self.on else rung.raise_for):
            self.on, self.held = not self.on, None


@given(ladders, st.sampled_from(NoDataPolicy), steps)
def test_the_machine_equals_one_that_counts_seconds_of_evidence(
    rungs: tuple[Rung, ...], no_data: NoDataPolicy, sequence: list[tuple[int, list[Verdict]]]
) -> None:
    rule = policy(*rungs, no_data=no_data)
    state, now, last = BLANK, 0.0, 0.0
    counted = [Counted() for _ in rungs]
    for pause, several in sequence:
        now += pause
        verdicts = tuple(several[: len(rungs)])
        state, _ = machine.step(state, Finding("vm-1", verdicts), rule, now)
        if not _silent(verdicts, rule):
            passed = now - last if now - last <= 20 else 0.0
            _count(counted, _meant(verdicts, no_data), rungs, passed)
            last = now
        lit = [rung.severity for rung, one in zip(rungs, counted, strict=True) if one.on]
        assert state.severity == max(lit, default=None)


def _meant(verdicts: tuple[Verdict, ...], no_data: NoDataPolicy) -> tuple[Verdict, ...]:
    if NO_DATA not in verdicts:
        return verdicts
    return (CLEAR,) * len(verdicts) if no_data is NoDataPolicy.CLEAR else (RAISE, *(HOLD,) * (len(verdicts) - 1))


def _count(counted: list[Counted], verdicts: tuple[Verdict, ...], rungs: tuple[Rung, ...], passed: float) -> None:
    were_on = [one.on for one in counted]
    for one, verdict, rung in zip(counted, verdicts, rungs, strict=True):
        one.take(verdict, rung, passed)
    for position, (one, verdict) in enumerate(zip(counted, verdicts, strict=True)):
        risen = any(
            above.on and not were for above, were in zip(counted[position + 1 :], were_on[position + 1 :], strict=True)
        )
        if risen and not one.on and verdict is RAISE:
            one.on, one.held = True, None


@given(policies, steps)
def test_a_quiet_state_stays_equal_to_itself(rule: AlarmPolicy, sequence: list[tuple[int, list[Verdict]]]) -> None:
    state, now = BLANK, 0.0
    for pause, verdicts in sequence:
        now += pause
        state, _ = machine.step(state, Finding("vm-1", tuple(verdicts[: len(rule.rungs)])), rule, now)
    for _ in range(200):
        now += 10.0
        state, _ = machine.step(state, Finding("vm-1", (CLEAR,) * len(rule.rungs)), rule, now)
    again, transitions = machine.step(state, Finding("vm-1", (CLEAR,) * len(rule.rungs)), rule, now + 10)
    assert (again, transitions) == (state, ())
    assert rule.relief is Relief.MANUAL or state == BLANK


def test_an_open_alarm_does_not_change_with_evidence_that_says_the_same() -> None:
    rule = policy(flap=FlapPolicy())
    raised, _ = run(rule, RAISE, RAISE, RAISE)
    assert run(rule, RAISE, RAISE, HOLD, state=raised, start=1030.0) == (raised, [])
