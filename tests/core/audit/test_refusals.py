"""A flood of bad tokens: all of it is counted, little of it is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from core.audit.refusals import MOST, OTHERS, WINDOW, Counted, Refusal, Refusals, write
from core.audit.rows import Outcome
from core.audit.search import FindEntries, search
from core.db.engine import Database
from core.settings import Settings
from tests.support.requests import Desk

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def refusal(address: str = "10.0.0.1", reason: str = "the token is unknown") -> Refusal:
    return Refusal("POST cloudvm/search", address, reason)


def times(counted: list[Counted]) -> int:
    return sum(one.times for one in counted)


def test_the_first_is_written_at_once_and_the_others_when_the_window_is_over() -> None:
    counted = Refusals()
    assert counted.note(refusal(), NOW) == [Counted(refusal(), 1, NOW)]
    last = NOW + WINDOW - timedelta(seconds=1)
    assert [counted.note(refusal(), at) for at in (NOW, NOW, last)] == [[], [], []]
    assert counted.over(last) == []
    assert counted.over(NOW + WINDOW) == [Counted(refusal(), 3, last)]
    assert counted.over(NOW + 2 * WINDOW) == []


def test_a_window_also_ends_with_the_next_refusal_and_with_the_product() -> None:
    counted = Refusals()
    for _ in range(3):
        counted.note(refusal(), NOW)
    later = NOW + WINDOW
    assert [one.times for one in counted.note(refusal(), later)] == [2, 1]
    counted.note(refusal(), later)
    assert times(counted.all()) == 1
    assert counted.all() == []


def test_a_revoked_token_is_counted_by_itself() -> None:
    counted = Refusals()
    counted.note(refusal(), NOW)
    revoked = Refusal("POST cloudvm/search", "10.0.0.1", "the token is revoked", "token-1")
    assert counted.note(revoked, NOW) == [Counted(revoked, 1, NOW)]


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 20)), max_size=400))
def test_nothing_is_lost_and_a_window_writes_little(flood: list[tuple[int, int]]) -> None:
    counted, now = Refusals(), NOW
    written: list[Counted] = []
    for number, seconds in flood:
        now += timedelta(seconds=seconds)
        written += counted.note(refusal(f"10.0.0.{number}"), now)
    written += counted.all()
    assert times(written) == len(flood)
    windows = (now - NOW) // WINDOW + 1
    assert len(written) <= windows * 2 * (MOST + 1)


def test_addresses_beyond_the_most_share_an_entry() -> None:
    counted = Refusals()
    written = [one for number in range(MOST + 20) for one in counted.note(refusal(f"10.0.1.{number}"), NOW)]
    assert len(written) == MOST + 1
    assert written[-1].first.address == OTHERS
    (rest,) = counted.all()
    assert (rest.first.address, rest.times) == (OTHERS, 19)


def test_they_stand_in_the_log_as_refused(database: Database) -> None:
    write(database, [Counted(refusal(), 41, NOW)])
    (entry,) = Desk(database, Settings()).platform(search, FindEntries()).rows
    assert (entry.outcome, entry.role, entry.tenant_id, entry.times) == (Outcome.REFUSED, None, None, 41)
    assert (entry.address, entry.code, entry.reason) == ("10.0.0.1", "unauthorised", "the token is unknown")
