"""Rates: never negative, equal to what a loop over single counters gives, and honest about what is not known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.rates import Growth, Moment, Rates


def follow(*keys: str, horizon: float = 100.0) -> Rates:
    rates = Rates(horizon)
    rates.follow(keys, np.arange(len(keys)), len(keys))
    return rates


def step(rates: Rates, values: list[float], at: float) -> Growth:
    return rates.update(np.array(values), Moment(at, at))


def naive(history: list[tuple[float, float]]) -> float:
    """Rate at the last of (time, value); NaN = not on the page."""
    seen = [(when, value) for when, value in history if not math.isnan(value)]
    if len(seen) < 2 or math.isnan(history[-1][1]):
        return math.nan
    (before, old), (now, new) = seen[-2:]
    return (new - old if new >= old else new) / (now - before)


COUNTER = st.one_of(st.floats(0, 1e15), st.just(math.nan), st.integers(0, 3).map(float))


@settings(deadline=None)
@given(st.lists(st.lists(COUNTER, min_size=3, max_size=3), min_size=1, max_size=12), st.floats(0.2, 50))
def test_rates_equal_a_naive_loop_and_are_never_negative(rows: list[list[float]], interval: float) -> None:
    rates = follow("a", "b", "c", horizon=math.inf)
    for number, row in enumerate(rows, 1):
        rate = step(rates, row, number * interval).rate
        for column in range(3):
            expected = naive([(n * interval, rows[n - 1][column]) for n in range(1, number + 1)])
            assert rate[column] == pytest.approx(expected, rel=1e-6, nan_ok=True)
            assert not rate[column] < 0


def test_the_first_sight_of_a_counter_is_no_rate() -> None:
    assert np.isnan(step(follow("a"), [1e12], 10).rate).all()


def test_a_reset_counts_from_zero() -> None:
    rates = follow("a")
    step(rates, [1e12], 10)
    growth = step(rates, [500], 20)
    assert growth.rate.tolist() == [50]
    assert growth.reset.tolist() == [True]


def test_a_gap_gives_the_rate_over_the_real_gap() -> None:
    rates = follow("a")
    step(rates, [100], 10)
    step(rates, [math.nan], 20)
    assert step(rates, [400], 40).rate.tolist() == [10]


def test_a_counter_unseen_beyond_the_horizon_begins_anew() -> None:
    rates = follow("a", horizon=50)
    step(rates, [100], 10)
    assert np.isnan(step(rates, [400], 61).rate[0])
    assert step(rates, [410], 71).rate[0] == 1


def test_a_step_back_of_one_mode_is_no_restart_of_the_machine() -> None:
    rates = Rates(100)
    rates.follow(("idle", "iowait", "user"), np.zeros(3, np.int64), 1)
    step(rates, [1000, 9.18, 50], 10)
    growth = step(rates, [1009, 9.10, 51], 20)
    assert growth.rate[0] == pytest.approx(0.992)
    assert not growth.reset[0]


def test_a_new_layout_keeps_what_is_known_and_evicts_what_is_gone() -> None:
    rates = follow("a", "b", horizon=30)
    step(rates, [100, 200], 10)
    rates.follow(("c", "b"), np.arange(2), 2)
    growth = step(rates, [1, 300], 20)
    assert np.isnan(growth.rate[0])
    assert growth.rate[1] == 10
    rates.follow(("a", "b"), np.arange(2), 2)
    assert step(rates, [150, 310], 30).rate.tolist() == [2.5, 1]
    rates.follow(("b",), np.arange(1), 1)
    step(rates, [310], 70)
    rates.follow(("b",), np.arange(1), 1)
    assert rates.remembered == 1


def test_a_wall_clock_set_back_or_forward_makes_no_spike() -> None:
    rates = follow("a", horizon=math.inf)
    rates.update(np.array([0.0]), Moment(1000, 0))
    assert rates.update(np.array([100.0]), Moment(400, 10)).rate[0] == 10
    assert rates.update(np.array([200.0]), Moment(4000, 20)).rate[0] < 10


def test_a_machine_that_slept_sees_no_spike() -> None:
    rates = follow("a", horizon=math.inf)
    rates.update(np.array([0.0]), Moment(1000, 0))
    assert rates.update(np.array([36_000.0]), Moment(4600, 10)).rate[0] == 10


def test_two_pages_of_the_same_moment_have_no_rate() -> None:
    rates = follow("a")
    step(rates, [1], 10)
    assert np.isnan(step(rates, [2], 10).rate[0])
