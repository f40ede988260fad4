"""Entries are there when what they tell of is there, are found by what they tell, and leave when they are old."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from core.audit import log, metrics, search
from core.audit.log import Deed, End
from core.audit.rows import AuditEntry, AuditObject, Outcome
from core.audit.search import EntryDetails, FindEntries
from core.context import Role
from core.db.engine import Database
from core.settings import Settings
from tests.support.requests import Desk

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DEED = Deed(
    operation="PUT cloudvm/start", address="10.0.0.1", role=Role.TENANT, token_id="token-1", tenant_id="t1",
    parameters={"vm.id": None}, objects={"vm-1": "vm.id", "task-1": "startid"},
)  # fmt: skip
DONE = End(outcome=Outcome.SUCCEEDED, tasks=("task-1",))
FAILED = End(outcome=Outcome.FAILED, code="conflict", reason="VM vm-1: is running")

Find = Callable[..., list[EntryDetails]]


@pytest.fixture
def find(database: Database) -> Find:
    desk = Desk(database, Settings())
    return lambda **wanted: list(desk.platform(search.search, FindEntries(**wanted)).rows)


def test_an_entry_says_who_did_what_to_what_from_where_and_how_it_ended(database: Database, find: Find) -> None:
    with database.tenant("t1", write=True) as session:
        log.record(session, NOW, DEED, DONE)
    (entry,) = find()
    assert (entry.at, entry.role, entry.tenant_id, entry.token_id) == (NOW, Role.TENANT, "t1", "token-1")
    assert (entry.operation, entry.address) == ("PUT cloudvm/start", "10.0.0.1")
    assert {one.object_id: one.name for one in entry.objects} == {"vm-1": "vm.id", "task-1": "startid"}
    assert [one.name for one in entry.parameters] == ["vm.id"]
    assert (entry.outcome, entry.tasks, entry.times, entry.unlisted) == (Outcome.SUCCEEDED, ("task-1",), 1, 0)


def test_what_is_rolled_back_has_no_entry(database: Database, find: Find) -> None:
    before = metrics.ENTRIES.labels(Outcome.SUCCEEDED)._value.get()
    with database.platform(write=True) as session:
        log.record(session, NOW, DEED, DONE)
        session.flush()
        session.rollback()
    assert find() == []
    assert metrics.ENTRIES.labels(Outcome.SUCCEEDED)._value.get() == before


def test_entries_are_found_by_each_filter_newest_first(database: Database, find: Find) -> None:
    deleted = {"operation": "DELETE cloudvm/{vmId}", "objects": {"vm-2": "vmId"}}
    other = replace(DEED, tenant_id="t2", token_id="token-2", **deleted)  # type: ignore[arg-type]
    for minutes, deed, end in ((0, DEED, DONE), (1, DEED, FAILED), (2, other, DONE)):
        log.record_apart(database, NOW + timedelta(minutes=minutes), deed, end)
    first, second, third = reversed(find())
    assert find(tenant_id="t1") == [second, first]
    assert find(token_id="token-2") == [third]
    assert find(object_id="vm-1") == [second, first]
    assert find(object_id="vm-404") == []
    assert find(outcome=Outcome.FAILED) == [second]
    assert find(operation="CLOUDVM/{") == [third]
    assert find(since=NOW + timedelta(minutes=1)) == [third, second]
    assert find(until=NOW + timedelta(minutes=1)) == [second, first]
    assert find(before=third.id) == [second, first]
    assert find(start=2, limit=1) == [second]


def test_a_tenants_session_sees_its_own_entries_only(database: Database) -> None:
    for tenant in ("t1", "t2", None):
        log.record_apart(database, NOW, replace(DEED, tenant_id=tenant), DONE)
    with database.tenant("t1") as session:
        assert session.scalar(select(func.count()).select_from(AuditEntry)) == 1
        assert session.scalar(select(func.count()).select_from(AuditObject)) == 2


def test_so_many_objects_are_kept_and_the_others_counted(database: Database, find: Find) -> None:
    many = {f"vm-{number}": "vm.id" for number in range(log.MOST_OBJECTS + 7)}
    log.record_apart(database, NOW, replace(DEED, objects=many), DONE)
    (entry,) = find()
    assert (len(entry.objects), entry.unlisted) == (log.MOST_OBJECTS, 7)


def test_old_entries_are_forgotten_with_their_objects(
    database: Database, find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "AT_ONCE", 2)
    for day in range(6):
        log.record_apart(database, NOW + timedelta(days=day), DEED, DONE)
    log.forget(database, NOW + timedelta(days=5))
    assert [entry.at for entry in find()] == [NOW + timedelta(days=5)]
    with database.platform() as session:
        assert session.scalar(select(func.count()).select_from(AuditObject)) == 2


def test_what_cannot_be_written_is_counted(database_url: str) -> None:
    before = metrics.LOST._value.get()
    with closing(Database(database_url)) as without_tables:
        log.record_apart(without_tables, NOW, DEED, replace(FAILED, times=3))
    assert metrics.LOST._value.get() == before + 3
