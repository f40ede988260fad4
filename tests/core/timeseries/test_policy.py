"""Windows of each level: they partition time, also where clocks change and zones are odd."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.settings import Settings
from core.timeseries.policy import HOUR, LINES, Policy, declared
from core.timeseries.store import Level

ZONES = [
    "UTC",
    "Asia/Shanghai",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Europe/Berlin",
    "America/Havana",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "Pacific/Apia",
]


def _policy(zone: str = "Asia/Shanghai", **settings: float) -> Policy:
    return declared(replace(Settings(), **settings), ZoneInfo(zone))  # type: ignore[arg-type]


def _at(text: str, zone: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@given(st.sampled_from(LINES), st.sampled_from(ZONES), st.floats(1.2e9, 2.2e9))
def test_every_instant_is_in_exactly_one_window(level: Level, zone: str, instant: float) -> None:
    policy = _policy(zone)
    start = policy.start(level, instant)
    end = policy.next(level, start)
    assert start <= instant < end
    assert policy.start(level, start) == start
    assert policy.start(level, end) == end
    assert policy.start(level, end - 0.001) == start


@given(st.sampled_from(LINES), st.sampled_from(ZONES), st.floats(1.2e9, 2.2e9), st.integers(0, 40))
def test_windows_join_without_gap_or_overlap(level: Level, zone: str, instant: float, count: int) -> None:
    policy = _policy(zone)
    end = instant
    for _ in range(count):
        end = policy.next(level, policy.start(level, end))
    windows = list(policy.windows(level, instant, end))
    assert len(windows) == count
    assert [policy.next(level, window) for window in windows[:-1]] == windows[1:]


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-28", 24), ("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)]
)
def test_a_day_is_as_long_as_the_calendar_says(day: str, hours: int) -> None:
    policy = _policy("Europe/Berlin")
    start = policy.start(Level.DAY, _at(f"{day}T12:00", "Europe/Berlin"))
    assert start == _at(f"{day}T00:00", "Europe/Berlin")
    assert policy.next(Level.DAY, start) - start == hours * HOUR
    assert policy.expected(Level.DAY, start) == hours * 360


def test_hours_are_full_hours_of_the_zone() -> None:
    start = _policy("Asia/Kolkata").start(Level.HOUR, _at("2026-05-01T14:59", "Asia/Kolkata"))
    assert start == _at("2026-05-01T14:00", "Asia/Kolkata")


@pytest.mark.parametrize(("interval", "expected"), [(10.0, 6), (0.2, 300), (0.7, 85), (60.0, 1), (300.0, 1)])
def test_expected_samples_of_a_minute(interval: float, expected: int) -> None:
    assert _policy(scrape_interval=interval).expected(Level.MINUTE, 0.0) == expected


@pytest.mark.parametrize(("level", "points"), [(Level.MINUTE, 60), (Level.HOUR, 24), (Level.DAY, 30)])
def test_the_default_window_ends_with_the_unfinished_one(level: Level, points: int) -> None:
    policy = _policy("Europe/Berlin")
    now = _at("2026-04-10T15:30:30", "Europe/Berlin")
    windows = list(policy.windows(level, policy.default_start(level, now), now))
    assert len(windows) == points
    assert windows[-1] == policy.start(level, now)


def test_what_lines_are_computed_from_must_outlive_late_samples() -> None:
    with pytest.raises(ValueError, match="hour_retention: 24 hours is too short"):
        _policy(hour_retention=1.0)
    with pytest.raises(ValueError, match="minute_retention"):
        _policy(raw_retention=24.0, minute_retention=1.0)
