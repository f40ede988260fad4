"""Maintenance windows and host events over the wire."""

from __future__ import annotations

from sqlalchemy import select

from core.alarms.maintenance import windows_in_force
from core.alarms.rows import MaintenanceWindow
from core.hosts.events import Note, forget, record_note
from core.hosts.rows import HostReason
from tests.api.conftest import PLATFORM_TOKEN, Cloud
from tests.support.product import fields, rows

CREATE, SEARCH = "cloudalarm/maintenance/create", "cloudalarm/maintenance/search"


def test_a_window_is_announced_listed_and_taken_back(cloud: Cloud) -> None:
    once = {
        "window.name": "new switch", "window.starttime": "2026-03-01 22:00:00", "window.endtime": "2026-03-02 02:00:00",
        "window.hostids": "host-1, host-2", "window.levels": ["high", "low"],
    }  # fmt: skip
    made = fields(cloud.platform(CREATE, once))["window.id"]
    (listed,) = rows(cloud.platform(SEARCH))
    assert listed["window.id"] == made
    assert listed["window.hostids"] == ["host-1", "host-2"]
    assert listed["window.levels"] == ["high", "low"]
    assert {name: listed[name] for name in ("window.name", "window.starttime", "window.endtime")} == {
        name: once[name] for name in ("window.name", "window.starttime", "window.endtime")
    }
    assert listed["window.weekdays"] == []
    assert cloud.platform.call("DELETE", f"cloudalarm/maintenance/{made}").succeeded
    assert rows(cloud.platform(SEARCH)) == []
    assert "window" in cloud.client(PLATFORM_TOKEN, "en").call("DELETE", f"cloudalarm/maintenance/{made}").text


def test_a_weekly_window_is_in_the_installations_zone_unless_it_says_otherwise(cloud: Cloud) -> None:
    weekly = {"window.name": "sunday", "window.weekdays": [7], "window.start": "03:00", "window.minutes": 90}
    assert cloud.platform(CREATE, weekly).succeeded
    assert cloud.platform(CREATE, {**weekly, "window.zone": "Europe/Berlin"}).succeeded
    with cloud.services.database.platform() as session:
        zones = {row.zone for row in session.scalars(select(MaintenanceWindow))}
        assert len(windows_in_force(session, cloud.clock.now())) == 2
    assert zones == {cloud.services.settings.timezone, "Europe/Berlin"}


def test_windows_that_never_open_are_refused_and_tenants_have_none(cloud: Cloud) -> None:
    english = cloud.client(PLATFORM_TOKEN, "en")
    name = {"window.name": "w"}
    assert "a beginning and an end" in english(CREATE, name).text
    assert "weekdays" in english(CREATE, {**name, "window.weekdays": [8], "window.start": "03:00"}).text
    assert "minutes" in english(CREATE, {**name, "window.weekdays": [1], "window.start": "03:00"}).text
    odd = {**name, "window.weekdays": [1], "window.minutes": 5, "window.start": "03:00", "window.zone": "Mars/Olympus"}
    assert "Mars/Olympus" in english(CREATE, odd).text
    for path in (CREATE, SEARCH, "cloudhost/events"):
        assert not cloud.alice(path, name).succeeded


def test_events_of_hosts_are_found_with_what_was_known(cloud: Cloud) -> None:
    with cloud.services.database.platform(write=True) as session:
        for urgent, reason in ((True, HostReason.BRAKE_ENGAGED), (False, HostReason.BRAKE_RELEASED)):
            record_note(session, cloud.clock.now(), "d1", Note(reason, urgent, {"suspects": "3"}, "host-1"))
    (event,) = rows(cloud.platform("cloudhost/events", {"event.urgent": "true", "host.id": "host-1"}))
    assert event["event.reason"] == "brake_engaged"
    assert event["event.evidence"] == [{"evidence.name": "suspects", "evidence.value": "3"}]
    assert event["host.state.to"] == ""
    with cloud.services.database.platform(write=True) as session:
        assert forget(session, cloud.clock.now()) == 0
        cloud.clock.advance(1)
        assert forget(session, cloud.clock.now()) == 2
    assert rows(cloud.platform("cloudhost/events")) == []
