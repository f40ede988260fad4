"""Who is not told, and what happens afterwards: notifications wait, detection and relief never do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from core.alarms import alarms, maintenance
from core.alarms.alarms import AlarmRef, ShelveAlarm
from core.alarms.announcement import Known, difference
from core.alarms.finding import Relief, Rung, Severity
from core.alarms.machine import Change
from core.alarms.maintenance import EveryWeek, OpenWindow
from core.alarms.suppress import Circumstances, HostCondition, suppressed_by
from core.alarms.windows import Recurrence, Subject, Window
from core.compute.inventory import ensure_host
from core.errors import Invalid, NotFound
from core.hosts.rows import Host, HostState
from core.paging import Paged
from core.timeseries.fields import Kind
from tests.support.alarms import Evaluator, facts
from tests.support.inventory import a_host
from tests.support.requests import Desk

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VM = Subject(rule_id="vm-cpu", severity=Severity.LOW, tenant_id="tenant-1", host_id="host-1", vm_id="vm-1")
HOST = Subject(rule_id="host-down", severity=Severity.HIGH, host_id="host-1")


def around(
    state: HostState = HostState.RUNNING, *, resting: bool = False, windows: tuple[Window, ...] = ()
) -> Circumstances:
    return Circumstances({"host-1": HostCondition(state, resting)}, windows)


@pytest.mark.parametrize("state", [state for state in HostState if state is not HostState.RUNNING])
def test_a_host_that_does_not_run_speaks_for_its_vms_and_not_for_itself(state: HostState) -> None:
    assert suppressed_by(VM, None, around(state), NOW) == f"host:host-1:{state.name.lower()}"
    assert suppressed_by(HOST, None, around(state), NOW) is None
    assert suppressed_by(replace(VM, host_id="host-2"), None, around(state), NOW) is None


def test_a_host_in_maintenance_silences_itself_and_its_vms() -> None:
    assert suppressed_by(VM, None, around(resting=True), NOW) == "maintenance:host-1"
    assert suppressed_by(HOST, None, around(resting=True), NOW) == "maintenance:host-1"


@pytest.mark.parametrize(
    ("matchers", "covered"),
    [
        ({}, True),
        ({"tenant": {"tenant-1", "tenant-2"}}, True),
        ({"tenant": {"tenant-2"}}, False),
        ({"host": {"host-1"}, "severity": {"low"}}, True),
        ({"host": {"host-1"}, "severity": {"high"}}, False),
        ({"vm": {"vm-1"}}, True),
        ({"rule": {"other"}}, False),
    ],
)
def test_a_window_covers_what_all_its_matchers_name(matchers: dict[str, set[str]], covered: bool) -> None:
    window = Window(id="w", matchers={kind: frozenset(values) for kind, values in matchers.items()})
    assert (suppressed_by(VM, None, around(windows=(window,)), NOW) == "window:w") == covered


SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")


def _nightly(zone: ZoneInfo, start: time, minutes: int, *days: int) -> Window:
    return Window(
        id="w", recurrence=Recurrence(weekdays=frozenset(days or range(1, 8)), start=start, minutes=minutes, zone=zone)
    )


@pytest.mark.parametrize(
    ("window", "moment", "inside"),
    [
        (_nightly(SHANGHAI, time(2), 60), datetime(2026, 1, 1, 18, 0, tzinfo=UTC), True),
        (_nightly(SHANGHAI, time(2), 60), datetime(2026, 1, 1, 18, 59, 59, tzinfo=UTC), True),
        (_nightly(SHANGHAI, time(2), 60), datetime(2026, 1, 1, 19, 0, tzinfo=UTC), False),
        (_nightly(SHANGHAI, time(2), 60), datetime(2026, 1, 1, 17, 59, 59, tzinfo=UTC), False),
        (_nightly(SHANGHAI, time(23), 180, 5), datetime(2026, 1, 3, 1, 30, tzinfo=SHANGHAI), True),
        (_nightly(SHANGHAI, time(23), 180, 5), datetime(2026, 1, 2, 1, 30, tzinfo=SHANGHAI), False),
        (_nightly(SHANGHAI, time(0), 7 * 1440, 1), datetime(2026, 1, 4, 23, 0, tzinfo=SHANGHAI), True),
        (_nightly(BERLIN, time(2, 30), 60), datetime(2026, 3, 29, 1, 45, tzinfo=UTC), True),
        (_nightly(BERLIN, time(2, 30), 60), datetime(2026, 3, 29, 2, 30, tzinfo=UTC), False),
        (_nightly(BERLIN, time(1), 120), datetime(2026, 10, 25, 0, 59, tzinfo=UTC), True),
        (_nightly(BERLIN, time(1), 120), datetime(2026, 10, 25, 1, 1, tzinfo=UTC), False),
    ],
)  # fmt: skip
def test_recurring_windows_live_in_their_zone(window: Window, moment: datetime, inside: bool) -> None:
    assert window.covers(VM, moment) == inside


@given(st.integers(0, 1439), st.integers(1, 7 * 1440), st.integers(0, 60 * 24 * 60))
def test_a_daily_window_is_open_exactly_its_minutes_after_each_start(start: int, minutes: int, after: int) -> None:
    window = _nightly(SHANGHAI, time(start // 60, start % 60), minutes)
    moment = datetime(2026, 1, 1, tzinfo=SHANGHAI) + timedelta(minutes=after)
    since_start = (after - start) % 1440
    assert window.covers(VM, moment) == (since_start < minutes)


KNOWN = [
    Known(severity, flapping, latched)
    for severity in Severity
    for flapping in (False, True)
    for latched in (False, True)
]


def test_every_difference_is_told_and_nothing_else() -> None:
    for told in (Known(), *KNOWN):
        assert difference(told, told) is None
        for true in KNOWN:
            change = difference(told, true)
            assert (change is None) == (told == true)
            assert change is not Change.RELIEVED
        assert (difference(told, Known()) is Change.RELIEVED) == (told.severity is not None)


@pytest.fixture
def evaluator(desk: Desk) -> Evaluator:
    with desk.database.platform(write=True) as session:
        ensure_host(session, a_host(1), desk.clock.now())
    return Evaluator(desk.database, clock=desk.clock)


def set_host(evaluator: Evaluator, **columns: Any) -> None:
    with evaluator.database.platform(write=True) as session:
        session.execute(update(Host).values(**columns))


def test_suppressed_alarms_are_raised_and_relieved_as_ever_and_nobody_hears_of_them(evaluator: Evaluator) -> None:
    set_host(evaluator, state=HostState.OFFLINE)
    assert evaluator.take({"vm-1": "low"}) == ["vm-1 raised"]
    assert evaluator.alarms()[0].suppressed_by == "host:host-1:offline"
    assert evaluator.take({"vm-1": "clear"}) == ["vm-1 relieved"]
    assert evaluator.told() == []
    set_host(evaluator, state=HostState.RUNNING)
    evaluator.take({})
    assert evaluator.told() == []
    assert evaluator.alarms()[0].suppressed_by == "host:host-1:offline"


def test_what_is_still_true_at_the_end_is_told_then_as_it_is_then(evaluator: Evaluator) -> None:
    set_host(evaluator, state=HostState.HA_DETECTING)
    evaluator.take({"vm-1": "low", "vm-2": "low"})
    evaluator.take({"vm-1": "raise", "vm-2": "clear"})
    assert evaluator.told() == []
    set_host(evaluator, state=HostState.RUNNING)
    evaluator.take({})
    assert evaluator.told() == ["desk vm-1 raised high"]
    assert evaluator.alarms()[0].suppressed_by is None
    evaluator.take({})
    assert evaluator.told() == ["desk vm-1 raised high"]


def test_a_relief_is_told_to_those_who_were_told_of_the_alarm(evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "low"})
    set_host(evaluator, state=HostState.OFFLINE)
    evaluator.take({"vm-1": "raise"})
    evaluator.take({"vm-1": "clear"})
    assert evaluator.told() == ["desk vm-1 raised low", "desk vm-1 relieved high"]


def test_suppression_does_not_touch_timers(evaluator: Evaluator) -> None:
    slow = evaluator.with_policy(rungs=(Rung(Severity.HIGH, raise_for=20),))
    slow.take({"vm-1": "raise"})
    set_host(slow, state=HostState.OFFLINE)
    slow.take({"vm-1": "raise"})
    set_host(slow, state=HostState.RUNNING)
    assert slow.take({"vm-1": "raise"}) == ["vm-1 raised"]
    assert slow.told() == ["desk vm-1 raised high"]


def test_the_alarm_of_the_host_itself_is_told(evaluator: Evaluator) -> None:
    set_host(evaluator, state=HostState.OFFLINE)
    host = replace(evaluator.with_policy(kind=Kind.HOST), facts={"host-1": replace(facts("x")["x"], vm_id=None)})
    host.take({"host-1": "raise"})
    assert host.told() == ["desk host-1 raised high"]


def test_a_maintenance_window_holds_notifications_until_its_end(desk: Desk, evaluator: Evaluator) -> None:
    start = desk.clock.now()
    want = OpenWindow(name="switch", starts_at=start, ends_at=start + timedelta(seconds=25))
    window = desk.platform(maintenance.open_window, want)
    evaluator.take({"vm-1": "low"})
    evaluator.take({"vm-1": "low"})
    assert evaluator.alarms()[0].suppressed_by == f"window:{window.id}"
    assert evaluator.told() == []
    evaluator.take({"vm-1": "low"})
    assert evaluator.told() == ["desk vm-1 raised low"]


def test_a_window_that_is_taken_back_ends_at_once(desk: Desk, evaluator: Evaluator) -> None:
    every_day = EveryWeek(weekdays=frozenset(range(1, 8)), start="00:00", minutes=1440, zone="Asia/Shanghai")
    tenants = {"tenant": frozenset({"tenant-1"})}
    window = desk.platform(maintenance.open_window, OpenWindow(name="all", every_week=every_day, matchers=tenants))
    evaluator.take({"vm-1": "low"})
    (found,) = desk.platform(maintenance.search, Paged()).rows
    assert (found.id, found.every_week, found.matchers) == (window.id, every_day, tenants)
    desk.platform(maintenance.delete, window)
    evaluator.take({})
    assert evaluator.told() == ["desk vm-1 raised low"]
    with pytest.raises(NotFound):
        desk.platform(maintenance.delete, window)


WEEKLY = EveryWeek(weekdays=frozenset({1}), start="02:00", minutes=60, zone="UTC")


@pytest.mark.parametrize(
    ("want", "field"),
    [
        (OpenWindow(name="w"), "ends_at"),
        (OpenWindow(name="w", starts_at=NOW), "ends_at"),
        (OpenWindow(name="w", starts_at=NOW, ends_at=NOW), "ends_at"),
        (OpenWindow(name="w", every_week=replace(WEEKLY, weekdays=frozenset())), "weekdays"),
        (OpenWindow(name="w", every_week=replace(WEEKLY, weekdays=frozenset({8}))), "weekdays"),
        (OpenWindow(name="w", every_week=replace(WEEKLY, start="2:00")), "start"),
        (OpenWindow(name="w", every_week=replace(WEEKLY, start="25:00")), "start"),
        (OpenWindow(name="w", every_week=replace(WEEKLY, zone="Mars/Base")), "zone"),
        (OpenWindow(name="w", every_week=WEEKLY, matchers={"colour": frozenset({"red"})}), "matchers"),
        (OpenWindow(name="w", every_week=WEEKLY, matchers={"vm": frozenset()}), "matchers"),
        (OpenWindow(name="w", every_week=WEEKLY, matchers={"severity": frozenset({"urgent"})}), "matchers"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(want: OpenWindow, field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        maintenance.check(want)
    assert refusal.value.field == field


def test_a_shelved_alarm_is_told_when_the_shelf_ends(desk: Desk, evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "low"})
    (alarm,) = evaluator.alarms()
    desk.platform(alarms.shelve, ShelveAlarm(id=alarm.id, until=desk.clock.now() + timedelta(seconds=25)))
    evaluator.take({"vm-1": "raise"})
    evaluator.take({"vm-1": "raise"})
    assert evaluator.alarms()[0].suppressed_by == "shelved"
    assert evaluator.told() == ["desk vm-1 raised low"]
    evaluator.take({"vm-1": "raise"})
    assert evaluator.told() == ["desk vm-1 raised low", "desk vm-1 rose high"]


def test_a_relief_by_hand_is_told_by_the_next_evaluation(desk: Desk, evaluator: Evaluator) -> None:
    manual = evaluator.with_policy(relief=Relief.MANUAL)
    manual.take({"vm-1": "low"})
    manual.take({"vm-1": "clear"})
    desk.platform(alarms.relieve, AlarmRef(id=manual.alarms()[0].id))
    manual.take({})
    assert manual.told() == ["desk vm-1 raised low", "desk vm-1 returned low", "desk vm-1 relieved low"]


def test_flapping_is_told_once(evaluator: Evaluator) -> None:
    for word in ("low", "clear") * 20:
        evaluator.take({"vm-1": word})
    told = evaluator.told()
    assert told.count("desk vm-1 flapping low") == 1
    assert told[-1] == "desk vm-1 flapping low"
