"""What people do with alarms, and who may."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from core.alarms import alarms, retention
from core.alarms.alarms import AlarmDetails, AlarmHistory, AlarmRef, FindAlarms, Relieved, ShelveAlarm
from core.alarms.finding import FlapPolicy, Relief, Severity
from core.alarms.machine import Change
from core.errors import Conflict, Invalid, NotFound
from core.tenancy.tenants import CreateTenant, create
from core.timeseries.fields import Kind
from tests.support.alarms import Evaluator, facts
from tests.support.requests import Desk


@pytest.fixture
def tenants(desk: Desk) -> tuple[str, str]:
    return desk.platform(create, CreateTenant(name="mine")).id, desk.platform(create, CreateTenant(name="other")).id


@pytest.fixture
def evaluator(desk: Desk, tenants: tuple[str, str]) -> Evaluator:
    mine, other = tenants
    known = {**facts("vm-1", "vm-1/vda", tenant=mine), **facts("vm-2", tenant=other), **facts("host-1", tenant=None)}
    return Evaluator(desk.database, facts=known, clock=desk.clock)


def found(desk: Desk, **filters: object) -> list[AlarmDetails]:
    return list(desk.platform(alarms.search, FindAlarms(**filters)).rows)  # type: ignore[arg-type]


def names(desk: Desk, **filters: object) -> list[str]:
    return [alarm.object_id for alarm in found(desk, **filters)]


def test_the_newest_alarm_comes_first(desk: Desk, evaluator: Evaluator) -> None:
    evaluator.take({"vm-2": "low"})
    evaluator.take({"vm-1": "raise"})
    assert names(desk) == ["vm-1", "vm-2"]


def test_filters(desk: Desk, evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "raise", "vm-2": "low"})
    evaluator.with_policy(rule_id="host", kind=Kind.HOST).take({"host-1": "low"})
    evaluator.take({"vm-2": "clear"})
    assert names(desk, severity=Severity.HIGH) == ["vm-1"]
    assert names(desk, object_kind=Kind.HOST) == ["host-1"]
    assert names(desk, object_id="vm-2") == ["vm-2"]
    assert names(desk, object_id="vm-") == []
    assert names(desk, relieved=Relieved.AUTO) == ["vm-2"]
    assert names(desk, relieved=Relieved.MANUAL) == []
    assert names(desk, relieved=Relieved.NONE) == ["host-1", "vm-1"]
    assert names(desk, relieved=Relieved.NONE, severity=Severity.LOW) == ["host-1"]


def test_the_span_of_creation_includes_both_seconds(desk: Desk, evaluator: Evaluator) -> None:
    desk.clock.advance(0.5)
    evaluator.take({"vm-1": "low"})
    second = found(desk)[0].created_at.replace(microsecond=0)
    assert names(desk, starts_at=second, ends_at=second) == ["vm-1"]
    assert names(desk, starts_at=second + timedelta(seconds=1)) == []
    assert names(desk, ends_at=second - timedelta(seconds=1)) == []


def test_pages_and_everything(desk: Desk, evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "low", "vm-2": "low"})
    page = desk.platform(alarms.search, FindAlarms(start=2, limit=1))
    assert (len(page.rows), page.total) == (1, 2)
    assert desk.platform(alarms.search, FindAlarms(start=2, limit=1, unpaged=True)).total == 2
    assert len(names(desk, start=2, limit=1, unpaged=True)) == 2


def test_a_tenant_sees_the_alarms_of_its_own_vms_and_their_disks(
    desk: Desk, evaluator: Evaluator, tenants: tuple[str, str]
) -> None:
    evaluator.take({"vm-1": "low", "vm-1/vda": "low", "vm-2": "low", "host-1": "low"})
    page = desk.tenant(tenants[0], alarms.search, FindAlarms())
    assert sorted(alarm.object_id for alarm in page.rows) == ["vm-1", "vm-1/vda"]
    assert page.total == 2
    assert len(found(desk)) == 4


@pytest.mark.parametrize("deed", ["relieve", "acknowledge", "shelve", "history"])
def test_anothers_alarm_does_not_exist(desk: Desk, evaluator: Evaluator, tenants: tuple[str, str], deed: str) -> None:
    evaluator.take({"vm-2": "low"})
    (alarm,) = found(desk)
    requests = {
        "relieve": AlarmRef(id=alarm.id),
        "acknowledge": AlarmRef(id=alarm.id),
        "shelve": ShelveAlarm(id=alarm.id, until=desk.clock.now() + timedelta(hours=1)),
        "history": AlarmHistory(id=alarm.id),
    }
    with pytest.raises(NotFound):
        desk.tenant(tenants[0], getattr(alarms, deed), requests[deed])
    with pytest.raises(NotFound):
        desk.platform(alarms.relieve, AlarmRef(id="alarm-0"))
    assert found(desk) == [alarm]


def test_a_tenant_acts_on_its_own_alarm(desk: Desk, evaluator: Evaluator, tenants: tuple[str, str]) -> None:
    evaluator.take({"vm-1": "low"})
    ref = AlarmRef(id=found(desk)[0].id, note="known")
    desk.tenant(tenants[0], alarms.acknowledge, ref)
    desk.tenant(tenants[0], alarms.shelve, ShelveAlarm(id=ref.id, until=desk.clock.now() + timedelta(hours=1)))
    desk.tenant(tenants[0], alarms.relieve, ref)
    events = desk.tenant(tenants[0], alarms.history, AlarmHistory(id=ref.id)).rows
    assert [event.change for event in events] == [Change.RAISED, Change.ACKNOWLEDGED, Change.SHELVED, Change.RELIEVED]
    assert [event.actor for event in events] == ["system", *[f"token-{tenants[0]}"] * 3]


def test_a_tenant_is_not_told_which_token_of_the_platform_acted(
    desk: Desk, evaluator: Evaluator, tenants: tuple[str, str]
) -> None:
    evaluator.take({"vm-1": "low"})
    ref = AlarmRef(id=found(desk)[0].id)
    desk.platform(alarms.acknowledge, ref)
    desk.tenant(tenants[0], alarms.relieve, ref)
    asked = AlarmHistory(id=ref.id)
    token = desk.platform(alarms.history, asked).rows[1].actor
    assert token not in {"platform", "system"}
    own = f"token-{tenants[0]}"
    assert [event.actor for event in desk.platform(alarms.history, asked).rows] == ["system", token, own]
    assert [event.actor for event in desk.tenant(tenants[0], alarms.history, asked).rows] == ["system", "platform", own]


def test_relief_by_hand_ends_the_alarm_once(desk: Desk, evaluator: Evaluator) -> None:
    manual = evaluator.with_policy(relief=Relief.MANUAL)
    manual.take({"vm-1": "low"})
    manual.take({"vm-1": "clear"})
    (alarm,) = found(desk)
    assert (alarm.latched, alarm.relieved) == (True, Relieved.NONE)
    desk.clock.advance(5)
    desk.platform(alarms.relieve, AlarmRef(id=alarm.id, note="cable replaced"))
    (alarm,) = found(desk)
    assert (alarm.relieved, alarm.relieved_at, alarm.note) == (Relieved.MANUAL, desk.clock.now(), "cable replaced")
    assert not alarm.latched
    with pytest.raises(Conflict):
        desk.platform(alarms.relieve, AlarmRef(id=alarm.id))
    assert manual.take({"vm-1": "clear"}) == []


def test_a_condition_that_still_holds_raises_a_new_alarm(desk: Desk, evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "low"})
    desk.platform(alarms.relieve, AlarmRef(id=found(desk)[0].id))
    assert evaluator.take({"vm-1": "low"}) == ["vm-1 raised"]
    assert [alarm.relieved for alarm in found(desk)] == [Relieved.NONE, Relieved.MANUAL]


def test_a_rise_takes_the_acknowledgement_back_and_a_fall_does_not(desk: Desk, evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "low"})
    ref = AlarmRef(id=found(desk)[0].id)
    desk.platform(alarms.acknowledge, ref)
    assert found(desk)[0].acknowledged
    evaluator.take({"vm-1": "raise"})
    assert not found(desk)[0].acknowledged
    desk.platform(alarms.acknowledge, ref)
    evaluator.take({"vm-1": "low"})
    assert found(desk)[0].acknowledged


def test_the_first_acknowledgement_stands(desk: Desk, evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "low"})
    ref = AlarmRef(id=found(desk)[0].id)
    desk.platform(alarms.acknowledge, ref)
    desk.platform(alarms.acknowledge, ref)
    assert desk.platform(alarms.history, AlarmHistory(id=ref.id)).total == 2


@pytest.mark.parametrize("seconds", [0, -1])
def test_shelving_needs_a_moment_that_lies_ahead(desk: Desk, evaluator: Evaluator, seconds: int) -> None:
    evaluator.take({"vm-1": "low"})
    with pytest.raises(Invalid):
        desk.platform(
            alarms.shelve, ShelveAlarm(id=found(desk)[0].id, until=desk.clock.now() + timedelta(seconds=seconds))
        )


def test_a_relieved_alarm_cannot_be_acknowledged_or_shelved(desk: Desk, evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "low"})
    evaluator.take({"vm-1": "clear"})
    ref = AlarmRef(id=found(desk)[0].id)
    with pytest.raises(Conflict):
        desk.platform(alarms.acknowledge, ref)
    with pytest.raises(Conflict):
        desk.platform(alarms.shelve, ShelveAlarm(id=ref.id, until=desk.clock.now() + timedelta(hours=1)))


def test_people_and_evaluations_at_once_agree(desk: Desk, evaluator: Evaluator) -> None:
    """Every alarm ends once, its history has no holes, and the receivers are told of every raise and every relief."""
    evaluator = evaluator.with_policy(flap=FlapPolicy(hi=1e9))
    evaluator.take({"vm-1": "raise"})
    stop = threading.Event()
    clash: list[BaseException] = []

    def people() -> None:
        try:
            while not stop.is_set():
                for alarm in found(desk, relieved=Relieved.NONE):
                    _act(desk, alarm.id)
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            clash.append(error)

    thread = threading.Thread(target=people)
    thread.start()
    for word in ("low", "raise", "raise", "clear") * 15:
        evaluator.take({"vm-1": word})
    stop.set()
    thread.join()
    evaluator.take({"vm-1": "clear"})
    assert clash == []
    everything = found(desk)
    assert all(alarm.relieved is not Relieved.NONE for alarm in everything)
    for alarm in everything:
        events = desk.platform(alarms.history, AlarmHistory(id=alarm.id)).rows
        assert [event.change for event in events].count(Change.RELIEVED) == 1
        assert events[-1].change is Change.RELIEVED
    told = evaluator.told()
    assert sum("relieved" in one for one in told) == sum("raised" in one for one in told) == len(everything)


def _act(desk: Desk, alarm_id: str) -> None:
    try:
        desk.platform(alarms.acknowledge, AlarmRef(id=alarm_id))
        desk.platform(alarms.relieve, AlarmRef(id=alarm_id))
    except Conflict:
        pass


def test_history_says_what_when_why_and_who(desk: Desk, evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "low"})
    evaluator.take({"vm-1": "clear"})
    page = desk.platform(alarms.history, AlarmHistory(id=found(desk)[0].id))
    raised, relieved = page.rows
    assert page.total == 2
    assert (raised.before, raised.after, raised.severity_before, raised.severity_after) == (
        "inactive", "raised", None, Severity.LOW,
    )  # fmt: skip
    assert (relieved.before, relieved.after, relieved.severity_after) == ("raised", "relieved", None)
    assert (raised.reason, raised.actor) == ("low because", "system")
    assert relieved.at == desk.clock.now()


def test_old_alarms_are_forgotten_and_open_ones_are_not(desk: Desk, evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "low", "vm-2": "low"})
    evaluator.take({"vm-1": "clear"})
    desk.clock.advance(100)
    with desk.database.platform(write=True) as session:
        assert retention.forget_alarms(session, desk.clock.now() - timedelta(seconds=1000)) == 0
        assert retention.forget_alarms(session, desk.clock.now()) == 1
    assert names(desk) == ["vm-2"]
