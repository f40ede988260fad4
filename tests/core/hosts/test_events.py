"""Searching the history of hosts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.db.engine import Database
from core.hosts.events import FindHostEvents, HostEventDetails, Known, Note, record_note, record_transition, search
from core.hosts.rows import HostReason, HostState
from core.hosts.state import Transition
from core.settings import Settings
from tests.support.requests import Desk


@pytest.fixture
def desk(database: Database) -> Desk:
    """h1 lost its heartbeat and was fenced, h2 lost its heartbeat, and the brake engaged, a minute apart each."""
    desk = Desk(database, Settings())
    changes = [
        ("h1", HostState.RUNNING, HostState.FAULT_DETECTING, HostReason.HEARTBEAT_LOST),
        ("h1", HostState.HA_DETECTING, HostState.STOPPED, HostReason.FENCED),
        ("h2", HostState.RUNNING, HostState.FAULT_DETECTING, HostReason.HEARTBEAT_LOST),
    ]
    with database.platform(write=True) as session:
        for minute, (host, before, after, reason) in enumerate(changes):
            at = desk.clock.now() + timedelta(minutes=minute)
            record_transition(session, host, "d1", Transition(at, before, after, reason, False, {"probe": "refused"}))
        at = desk.clock.now() + timedelta(minutes=3)
        record_note(session, at, "d1", Note(HostReason.BRAKE_ENGAGED, urgent=True, evidence={"suspects": "3"}))
    return desk


def found(desk: Desk, **find: object) -> list[str]:
    events = desk.platform(search, FindHostEvents(**find)).rows  # type: ignore[arg-type]
    return [f"{event.host_id or 'all'} {event.reason}" for event in events]


def test_newest_first(desk: Desk) -> None:
    assert found(desk) == ["all brake_engaged", "h2 heartbeat_lost", "h1 fenced", "h1 heartbeat_lost"]


def test_every_filter(desk: Desk) -> None:
    begin = desk.clock.now()
    assert found(desk, host_id="h1") == ["h1 fenced", "h1 heartbeat_lost"]
    assert found(desk, reason=HostReason.FENCED) == ["h1 fenced"]
    assert found(desk, to_state=HostState.FAULT_DETECTING) == ["h2 heartbeat_lost", "h1 heartbeat_lost"]
    assert found(desk, urgent=True) == ["all brake_engaged"]
    assert found(desk, since=begin + timedelta(minutes=1), until=begin + timedelta(minutes=3)) == [
        "h2 heartbeat_lost",
        "h1 fenced",
    ]


def test_an_event_says_everything(desk: Desk) -> None:
    page = desk.platform(search, FindHostEvents(host_id="h1", start=1, limit=1))
    (event,) = page.rows
    assert page.total == 2
    assert event == HostEventDetails(
        id=event.id, host_id="h1", at=desk.clock.now() + timedelta(minutes=1), from_state=HostState.HA_DETECTING,
        to_state=HostState.STOPPED, reason=HostReason.FENCED, urgent=False, detector="d1",
        evidence=(Known(name="probe", value="refused"),),
    )  # fmt: skip
