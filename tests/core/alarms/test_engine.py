"""Findings become alarms durably: once, completely, and only where something has changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from core.alarms.engine import Fenced, open_keys, retire_rules
from core.alarms.finding import ObjectFacts, Relief, Rung, Severity
from core.alarms.machine import BLANK, Change, Flap, RungState, State
from core.alarms.memory import recalled, stored
from core.alarms.rows import Alarm, AlarmRule, AlarmState, AlarmTransition, Outbox, ReliefWay
from core.db.engine import Database
from core.timeseries.fields import Kind
from tests.support.alarms import CPU, Crash, Evaluator, crash_at, dump, facts

SLOW = replace(CPU, rungs=(Rung(Severity.HIGH, raise_for=20, clear_for=20),))


@pytest.fixture
def evaluator(database: Database) -> Evaluator:
    return Evaluator(database)


def test_an_alarm_remembers_its_object_and_its_rule(evaluator: Evaluator) -> None:
    assert evaluator.take({"vm-1": "low", "vm-2": "clear"}) == ["vm-1 raised"]
    (alarm,) = evaluator.alarms()
    assert (alarm.rule_id, alarm.category, alarm.labels) == ("vm-cpu", "cpu", {"team": "compute"})
    assert (alarm.object_kind, alarm.object_id, alarm.object_name) == (Kind.VM, "vm-1", "name of vm-1")
    assert (alarm.tenant_id, alarm.host_id, alarm.vm_id) == ("tenant-1", "host-1", "vm-1")
    assert (alarm.severity, alarm.created_at, alarm.relieved_at) == (Severity.LOW, evaluator.clock.now(), None)
    assert (alarm.content_zh, alarm.content_en) == ("vm-1告警", "vm-1 alarms")


def test_one_alarm_climbs_descends_and_ends_and_its_history_says_so(evaluator: Evaluator) -> None:
    for word in ("low", "raise", "low", "clear"):
        evaluator.take({"vm-1": word})
    (alarm,) = evaluator.alarms()
    assert (alarm.severity, alarm.max_severity) == (Severity.LOW, Severity.HIGH)
    assert (alarm.relieved_at, alarm.relieve_way) == (evaluator.clock.now(), ReliefWay.AUTO)
    with evaluator.database.platform() as session:
        history = session.scalars(select(AlarmTransition).order_by(AlarmTransition.number)).all()
    assert [one.change for one in history] == [Change.RAISED, Change.ROSE, Change.FELL, Change.RELIEVED]
    assert [one.number for one in history] == [1, 2, 3, 4]
    assert history[0].reason == "low because"
    assert history[0].reason_data == {"value": 97.5, "verdicts": ["raise", "clear"]}
    assert alarm.transitions == 4


def test_the_next_episode_is_another_alarm(evaluator: Evaluator) -> None:
    for word in ("low", "clear", "low"):
        evaluator.take({"vm-1": word})
    assert [alarm.relieved_at is None for alarm in evaluator.alarms()] == [False, True]


def test_timers_live_in_the_database(evaluator: Evaluator) -> None:
    slow = replace(evaluator, policy=SLOW)
    assert [slow.take({"vm-1": word}) for word in ("raise", "raise", "raise")] == [[], [], ["vm-1 raised"]]
    assert [slow.take({"vm-1": word}) for word in ("clear", "clear", "clear")] == [[], [], ["vm-1 relieved"]]


def test_downtime_moves_the_timers(evaluator: Evaluator) -> None:
    slow = replace(evaluator, policy=SLOW)
    slow.take({"vm-1": "raise"})
    slow.take({"vm-1": "raise"})
    slow.clock.advance(3600)
    assert slow.take({"vm-1": "raise"}) == []
    assert slow.take({"vm-1": "raise"}) == ["vm-1 raised"]


def test_an_object_that_fails_keeps_its_own_evidence_while_the_rule_goes_on(evaluator: Evaluator) -> None:
    slow = replace(evaluator, policy=SLOW)
    slow.take({"vm-1": "raise", "vm-2": "raise"})
    slow.take({"vm-1": "raise", "vm-2": "raise"})
    slow = slow.with_policy(rungs=(Rung(Severity.HIGH, raise_for=100),))
    for _ in range(5):
        slow.take({"vm-1": "failed", "vm-2": "raise"})
    slow = slow.with_policy(rungs=(Rung(Severity.HIGH, raise_for=20),))
    assert slow.take({"vm-1": "raise", "vm-2": "clear"}) == []
    assert slow.take({"vm-1": "raise", "vm-2": "clear"}) == ["vm-1 raised"]


def test_an_object_without_a_finding_stays_as_it_is(evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "low", "vm-2": "low"})
    assert evaluator.take({"vm-2": "low"}) == []
    assert len([alarm for alarm in evaluator.alarms() if alarm.relieved_at is None]) == 2


def test_the_open_keys_are_all_that_have_a_state(evaluator: Evaluator) -> None:
    slow = replace(evaluator, policy=SLOW)
    slow.take({"vm-1": "raise", "vm-2": "clear"})
    with evaluator.database.platform() as session:
        assert open_keys(session) == {("vm-cpu", "vm-1")}


def _writes(statements: list[str]) -> list[str]:
    return [
        one.split()[0] + " " + one.split()[2 if one.startswith("INSERT") else 1] for one in statements if _is_write(one)
    ]


def _is_write(statement: str) -> bool:
    return statement.startswith(("INSERT", "UPDATE", "DELETE"))


@pytest.mark.parametrize("word", ["clear", "raise", "failed"])
def test_a_steady_state_writes_nothing(evaluator: Evaluator, word: str) -> None:
    evaluator.take({"vm-1": "raise" if word != "clear" else "clear"})
    evaluator.take({"vm-1": word})
    with crash_at(evaluator.database, -1) as statements:
        evaluator.take({"vm-1": word})
    assert _writes(statements) == []


def test_running_timers_write_one_row_for_the_rule(evaluator: Evaluator) -> None:
    slow = evaluator.with_policy(rungs=(Rung(Severity.HIGH, raise_for=900),))
    slow.take({"vm-1": "raise", "vm-2": "raise"})
    with crash_at(evaluator.database, -1) as statements:
        slow.take({"vm-1": "raise", "vm-2": "raise"})
    assert _writes(statements) == ["UPDATE alarm_rule"]


def test_a_cap_stops_creating_never_erases_and_lets_the_next_in_when_there_is_room(evaluator: Evaluator) -> None:
    capped = evaluator.with_policy(limit=1)
    assert capped.take({"vm-1": "low", "vm-2": "low"}) == ["vm-1 raised"]
    assert capped.take({"vm-1": "low", "vm-2": "low"}) == []
    assert capped.take({"vm-1": "clear", "vm-2": "low"}) == ["vm-1 relieved", "vm-2 raised"]


def test_lowering_the_cap_erases_nothing(evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "low", "vm-2": "low"})
    assert evaluator.with_policy(limit=1).take({"vm-1": "low", "vm-2": "low"}) == []
    assert all(alarm.relieved_at is None for alarm in evaluator.alarms())


def test_the_alarm_of_an_object_that_is_gone_is_closed_with_that_reason(evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "low"})
    assert replace(evaluator, facts=facts("vm-2")).take({}) == ["vm-1 object_gone"]
    (alarm,) = evaluator.alarms()
    assert alarm.relieve_way is ReliefWay.AUTO
    with evaluator.database.platform() as session:
        assert open_keys(session) == set()


def test_a_rule_that_is_gone_closes_its_alarms_and_leaves_the_others(evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "low"})
    evaluator.with_policy(rule_id="other").take({"vm-1": "low"})
    with evaluator.database.platform(write=True) as session:
        happened = retire_rules(session, {"other"}, evaluator.clock.now())
    assert [(one.rule_id, one.transition.change) for one in happened] == [("vm-cpu", Change.RULE_GONE)]
    assert {alarm.rule_id for alarm in evaluator.alarms() if alarm.relieved_at is None} == {"other"}


def test_what_is_out_of_service_raises_nothing_and_may_clear(evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "low"})
    resting = replace(evaluator, facts={name: ObjectFacts(name, in_service=False) for name in ("vm-1", "vm-2")})
    assert resting.take({"vm-1": "low", "vm-2": "raise"}) == []
    assert resting.take({"vm-1": "clear", "vm-2": "raise"}) == ["vm-1 relieved"]


def test_two_open_alarms_of_one_rule_and_object_are_impossible(evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "low"})
    (alarm,) = evaluator.alarms()
    twin = {column.name: getattr(alarm, column.name) for column in Alarm.__table__.c} | {"id": "alarm-2"}
    with pytest.raises(IntegrityError), evaluator.database.platform(write=True) as session:
        session.execute(insert(Alarm).values(**twin))


def test_a_holder_of_a_lease_that_was_passed_on_is_refused(evaluator: Evaluator) -> None:
    slow = replace(evaluator, policy=SLOW)
    slow.take({"vm-1": "raise"}, fence=7)
    before = dump(evaluator.database)
    with pytest.raises(Fenced):
        slow.take({"vm-1": "raise"}, fence=6)
    assert dump(evaluator.database) == before


def test_the_same_evaluation_again_changes_nothing(evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "raise"})
    before = dump(evaluator.database)
    evaluator.clock.advance(-evaluator.policy.interval)
    assert evaluator.take({"vm-1": "raise"}) == []
    assert dump(evaluator.database) == before


def test_a_latched_alarm_is_marked(evaluator: Evaluator) -> None:
    manual = evaluator.with_policy(relief=Relief.MANUAL)
    manual.take({"vm-1": "low"})
    assert manual.take({"vm-1": "clear"}) == ["vm-1 returned"]
    assert evaluator.alarms()[0].latched
    assert manual.take({"vm-1": "raise"}) == ["vm-1 recurred", "vm-1 rose"]
    assert not evaluator.alarms()[0].latched


def test_flapping_survives_in_the_database(evaluator: Evaluator) -> None:
    seen = [change for word in ("low", "clear") * 5 for change in evaluator.take({"vm-1": word})]
    assert seen.count("vm-1 flapping") == 1
    assert seen[-1] == "vm-1 flapping"
    (alarm,) = [alarm for alarm in evaluator.alarms() if alarm.relieved_at is None]
    assert alarm.flapping


STORY = [
    {"vm-1": "raise"},
    {"vm-1": "raise", "vm-2": "raise"},
    {"vm-1": "raise", "vm-2": "failed"},
    {"vm-1": "clear", "vm-2": "raise"},
    {"vm-1": "clear", "vm-2": "raise"},
    {"vm-1": "clear", "vm-2": "raise"},
    {"vm-1": "raise", "vm-2": "clear"},
]


def test_a_crash_at_any_statement_loses_nothing_and_doubles_nothing(database: Database) -> None:
    """Every evaluation of a story dies at its first, second, ... statement and its commit, and is then done again."""
    evaluator = Evaluator(database, policy=SLOW)
    crashes = 0
    for findings in STORY:
        before, instant = dump(database), evaluator.clock.instant
        for statement in count():
            evaluator.clock.instant = instant
            if not _crashes(evaluator, findings, statement):
                break
            crashes += 1
            assert dump(database) == before
    assert crashes > 8 * len(STORY)
    assert evaluator.told() == ["desk vm-1 raised high", "desk vm-2 raised high", "desk vm-1 relieved high"]
    assert dump(database) == _uninterrupted(database)


def _crashes(evaluator: Evaluator, findings: dict[str, str], statement: int) -> bool:
    with crash_at(evaluator.database, statement):
        try:
            evaluator.take(findings)
        except Crash:
            return True
    return False


def _uninterrupted(database: Database) -> dict[str, list[tuple[object, ...]]]:
    with database.platform(write=True) as session:
        for kind in (Outbox, AlarmTransition, AlarmState, AlarmRule, Alarm):
            session.query(kind).delete()
    evaluator = Evaluator(database, policy=SLOW)
    for findings in STORY:
        evaluator.take(findings)
    return dump(database)


@pytest.mark.parametrize(
    "state",
    [
        BLANK,
        State((RungState(Severity.LOW, on=False, since=1.25),), None, 7.5),
        State((RungState(Severity.HIGH, on=True),), Severity.HIGH, None, Flap(3.3, 2.2, on=True), acknowledged=True),
    ],
)
@pytest.mark.parametrize("rule_evidence", [None, 7.5, 8.0])
def test_what_is_recalled_equals_what_was_stored(state: State, rule_evidence: float | None) -> None:
    seen = datetime(2026, 1, 1, tzinfo=UTC) if state.acknowledged else None
    alarm = {"severity": state.severity, "acknowledged_at": seen, "shelved_until": None}
    assert recalled(stored(state, rule_evidence), alarm, rule_evidence) == state  # type: ignore[arg-type]
