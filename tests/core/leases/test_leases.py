"""Leases: one owner at a time, taken over from the silent, and no word from those who lost theirs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from core.clock import VirtualClock
from core.db.engine import Database
from core.leases.fenced import FencedDatabase, FencedStore
from core.leases.leases import TRUSTED, Claimant, LeaseLost, Seen, observed
from core.leases.rows import Lease
from core.tenancy.rows import Tenant
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.store import Level
from tests.support.threads import together

TTL = 12.0
Make = Callable[[str], Claimant]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def claimant(database: Database, clock: VirtualClock) -> Make:
    return lambda owner: Claimant(database, clock, "lines", owner, TTL)


def test_the_first_one_has_it_and_keeps_it_by_renewing(claimant: Make, clock: VirtualClock) -> None:
    a, b = claimant("a"), claimant("b")
    for _ in range(10):
        assert a.hold() == 1
        assert b.hold() is None
        assert (a.valid, b.valid) == (True, False)
        clock.advance(TTL / 3)


def test_silence_is_taken_over_after_the_time_to_live_and_the_fence_grows(claimant: Make, clock: VirtualClock) -> None:
    a, b = claimant("a"), claimant("b")
    a.hold()
    assert b.hold() is None
    clock.advance(TTL - 0.1)
    assert b.hold() is None
    clock.advance(0.2)
    assert b.hold() == 2
    assert a.hold() is None
    assert not a.valid


def test_a_candidate_counts_silence_from_its_own_first_look(claimant: Make, clock: VirtualClock) -> None:
    claimant("a").hold()
    clock.advance(10 * TTL)
    b = claimant("b")
    assert b.hold() is None
    clock.advance(TTL)
    assert b.hold() == 2


def test_the_owner_stops_believing_before_a_candidate_may_begin(claimant: Make, clock: VirtualClock) -> None:
    a, b = claimant("a"), claimant("b")
    a.hold()
    b.hold()
    clock.advance(TTL * TRUSTED)
    assert not a.valid
    assert b.hold() is None
    assert a.hold() == 1
    assert a.valid


def test_what_is_given_back_is_taken_at_once(claimant: Make) -> None:
    a, b = claimant("a"), claimant("b")
    a.hold()
    assert b.hold() is None
    a.release()
    assert not a.valid
    assert b.hold() == 2
    a.release()
    assert b.hold() == 2


def test_of_many_candidates_one_takes_it(database: Database, claimant: Make, clock: VirtualClock) -> None:
    for turn in range(1, 4):
        claimants = [claimant(f"{turn}-{number}") for number in range(8)]
        for one in claimants:
            if turn > 1:
                assert one.hold() is None
        clock.advance(TTL)
        fences = together(8, lambda number, of=claimants: of[number].hold())
        assert sorted(fence for fence in fences if fence is not None) == [turn]
        with database.platform() as session:
            assert session.scalars(select(Lease.fence)).all() == [turn]


def test_who_lost_it_writes_nothing(database: Database, claimant: Make, clock: VirtualClock) -> None:
    a, b = claimant("a"), claimant("b")
    with closing(FencedDatabase(database, a)) as fenced:
        with pytest.raises(LeaseLost), fenced.platform(write=True):
            pytest.fail("it never had it")
        a.hold()
        b.hold()
        with fenced.platform(write=True) as session:
            session.add(Tenant(id="app-1", name="one", created_at=clock.now()))
        clock.advance(TTL)
        assert b.hold() == 2
        with pytest.raises(LeaseLost), fenced.platform(write=True):
            pytest.fail("it is b's")
        with fenced.platform() as session:
            assert session.scalars(select(Tenant.id)).all() == ["app-1"]


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_nobody_takes_over_within_a_write(database: Database, claimant: Make, clock: VirtualClock) -> None:
    a, b = claimant("a"), claimant("b")
    a.hold()
    b.hold()
    clock.advance(TTL)
    taken: list[int | None] = []
    candidate = threading.Thread(target=lambda: taken.append(b.hold()))
    with closing(FencedDatabase(database, a)) as fenced:
        with fenced.platform(write=True):
            candidate.start()
            candidate.join(0.3)
            assert candidate.is_alive()
        candidate.join(10)
    assert taken == [2]


def test_a_store_takes_nothing_from_who_does_not_trust_its_lease(
    tmp_path: Path, claimant: Make, clock: VirtualClock
) -> None:
    a = claimant("a")
    with closing(EmbeddedStore(tmp_path)) as inner:
        store = FencedStore(inner, a)
        with pytest.raises(LeaseLost):
            store.set_mark("cursor", 1)
        a.hold()
        store.set_mark("cursor", 2)
        clock.advance(TTL * TRUSTED)
        for write in (
            lambda: store.set_mark("cursor", 3),
            lambda: store.write([]),
            lambda: store.prune(Level.RAW, 0),
        ):
            with pytest.raises(LeaseLost):
                write()
        assert store.mark("cursor") == 2


def test_silence_begins_anew_with_every_change() -> None:
    first = observed(None, Seen(1, 0), 5.0)
    assert observed(first, Seen(1, 0), 9.0) is first
    assert observed(first, Seen(1, 1), 9.0).since == 9.0
    assert observed(first, Seen(2, 0), 9.0).since == 9.0
