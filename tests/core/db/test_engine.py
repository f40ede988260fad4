"""Transactions: who may write, what is seen, and that many writers neither fail nor lose anything."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, Event

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from core.db import engine
from core.db.engine import UNAVAILABLE, Database, open_database
from core.errors import Invalid
from core.settings import Settings
from core.tenancy.rows import Quota, Tenant

NOW = datetime(2026, 1, 1, tzinfo=UTC)
THREADS = 8
ROUNDS = 12


def add_tenant(database: Database, key: str) -> None:
    with database.platform(write=True) as session:
        session.add(Tenant(id=key, name=key, created_at=NOW))
        session.flush()
        session.add(Quota(tenant_id=key, cpu_limit=THREADS * ROUNDS - 5))


def tenants(database: Database) -> int:
    with database.platform() as session:
        return session.scalar(select(func.count()).select_from(Tenant)) or 0


def test_a_block_that_ends_is_committed_and_one_that_raises_is_not(database: Database) -> None:
    add_tenant(database, "kept")

    def fail_halfway() -> None:
        with database.platform(write=True) as session:
            session.add(Tenant(id="lost", name="lost", created_at=NOW))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert tenants(database) == 1


def test_those_who_found_it_at_once_see_each_other(database: Database) -> None:
    meeting = Barrier(THREADS)

    def found(_: int) -> None:
        meeting.wait()
        with database.founding() as session:
            if session.get(Tenant, "first") is None:
                session.add(Tenant(id="first", name="first", created_at=NOW))

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(found, range(THREADS)))
    assert tenants(database) == 1


def test_a_read_transaction_cannot_write(database: Database) -> None:
    with database.platform() as session, pytest.raises(DBAPIError):
        session.execute(insert(Tenant).values(id="x", name="x", description="", created_at=NOW))
    add_tenant(database, "y")
    assert tenants(database) == 1


def test_a_read_transaction_sees_one_snapshot_and_does_not_stop_a_writer(database: Database) -> None:
    with database.platform() as session:
        before = session.scalar(select(func.count()).select_from(Tenant))
        add_tenant(database, "later")
        assert session.scalar(select(func.count()).select_from(Tenant)) == before
    assert tenants(database) == 1


def in_parallel(deed: Callable[[int], int]) -> int:
    """All threads start each round together; the sum of what they answer."""
    start = Barrier(THREADS)

    def rounds(thread: int) -> int:
        done = 0
        for number in range(ROUNDS):
            start.wait(30)
            done += deed(thread * ROUNDS + number)
        return done

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(rounds, range(THREADS)))


def test_transactions_that_read_and_then_write_never_fail_and_none_is_lost(database: Database) -> None:
    def read_then_write(number: int) -> int:
        with database.platform(write=True) as session:
            assert session.scalar(select(func.count()).select_from(Tenant)) is not None
            session.add(Tenant(id=f"t{number}", name="t", created_at=NOW))
        return 1

    assert in_parallel(read_then_write) == THREADS * ROUNDS == tenants(database)


def test_a_conditional_update_hands_out_exactly_what_there_is(database: Database) -> None:
    add_tenant(database, "mine")

    def take_one(_: int) -> int:
        left = (Quota.tenant_id == "mine", Quota.cpu_used + 1 <= Quota.cpu_limit)
        with database.tenant("mine", write=True) as session:
            return session.execute(update(Quota).where(*left).values(cpu_used=Quota.cpu_used + 1)).rowcount

    assert in_parallel(take_one) == THREADS * ROUNDS - 5


def test_sqlite_is_durable_and_checks_foreign_keys(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    with database.platform(write=True) as session:
        told = [session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")]
    database.close()
    assert told == ["wal", 2, 1]


@pytest.mark.parametrize("url", ["nonsense", "mysql://root@h/d", "sqlite://", "sqlite:///:memory:"])
def test_a_wrong_url_is_refused_with_what_is_allowed(url: str) -> None:
    with pytest.raises(Invalid, match=r"database_url: .*allowed: sqlite:///PATH"):
        Database(url)


def test_a_plain_postgresql_url_gets_its_driver_and_a_wrong_url_does_not_show_its_password() -> None:
    assert Database("postgresql://u@h/d").url.drivername == "postgresql+psycopg"
    with pytest.raises(Invalid) as refusal:
        Database("mysql://root:hunter2@h/d")
    assert "hunter2" not in str(refusal.value)


def idle(database: Database, seconds: float) -> None:
    """A transaction in which nothing happens for so long."""
    with database.platform() as session:
        session.execute(text("SELECT 1"))
        Event().wait(seconds)
        session.execute(text("SELECT 1"))


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_a_statement_that_takes_too_long_is_ended_by_the_server(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.2)
    with closing(Database(database_url)) as database:
        with pytest.raises(UNAVAILABLE, match="statement timeout"), database.platform() as session:
            session.execute(text("SELECT pg_sleep(20)"))
        with pytest.raises(DBAPIError, match="idle-in-transaction"):
            idle(database, 0.6)


def test_a_server_that_says_nothing_is_away_after_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and is silent, as one behind a link that was cut a moment ago."""
    monkeypatch.setattr(engine, "LINK_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none"
        with closing(Database(url)) as database, pytest.raises(UNAVAILABLE), database.platform() as session:
            session.execute(text("SELECT 1"))


def test_the_default_database_stands_in_the_data_folder(tmp_path: Path) -> None:
    database = open_database(Settings(data_dir=tmp_path))
    database.migrate()
    assert tenants(database) == 0
    database.close()
    assert (tmp_path / "starvc.db").exists()
