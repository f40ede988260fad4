"""Rolling samples up: against a naive recompute, and to the same digits whatever the order, duplication or batching."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.rollup import Fold, roll_samples
from core.timeseries.fields import FIELDS, Kind
from core.timeseries.store import Frame, Lines

T0 = 1_760_000_040.0
_WIDTH = len(FIELDS[Kind.NIC])
_Sample = tuple[str, float, tuple[float, ...]]

_values = st.one_of(st.just(math.nan), st.floats(-1e9, 1e9).map(lambda value: value + 0.0))
_rows = st.tuples(*[_values] * _WIDTH)


@st.composite
def _samples(draw: st.DrawFn, span: int = 60) -> list[_Sample]:
    """Each (object, time) once."""
    keys = draw(st.lists(st.tuples(st.sampled_from(["a", "b", "虚", "z/1"]), st.integers(0, span - 1)), unique=True))
    return [(name, T0 + second, draw(_rows)) for name, second in keys]


def _frame(samples: Sequence[_Sample]) -> Frame:
    values = np.array([row for _, _, row in samples], dtype=float).reshape(len(samples), _WIDTH)
    return Frame(Kind.NIC, [name for name, _, _ in samples], np.array([time for _, time, _ in samples], float), values)


def _naive(samples: Sequence[_Sample]) -> dict[str, list[tuple[float, float, float, int]]]:
    """By object and field: mean, minimum, maximum, count."""
    answer: dict[str, list[tuple[float, float, float, int]]] = {}
    for name in {name for name, _, _ in samples}:
        columns = zip(*(row for other, _, row in samples if other == name), strict=True)
        answer[name] = []
        for column in columns:
            present = [value for value in column if not math.isnan(value)]
            nothing = (math.nan, math.nan, math.nan, 0)
            mean = math.fsum(present) / len(present) if present else math.nan
            answer[name].append((mean, min(present), max(present), len(present)) if present else nothing)
    return answer


def assert_identical(one: Lines, other: Lines) -> None:
    assert list(one.objects) == list(other.objects)
    assert (one.kind, one.start, one.expected, one.final) == (other.kind, other.start, other.expected, other.final)
    for part in ("mean", "minimum", "maximum", "count"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part), err_msg=part)


def _assert_naive(lines: Lines, samples: Sequence[_Sample]) -> None:
    wanted = _naive(samples)
    assert list(lines.objects) == sorted(wanted)
    for row, name in enumerate(lines.objects):
        for column, (mean, minimum, maximum, count) in enumerate(wanted[name]):
            assert lines.count[row, column] == count
            scale = max(abs(minimum), abs(maximum)) if count else 0.0
            assert lines.mean[row, column] == pytest.approx(mean, rel=1e-9, abs=1e-9 * scale, nan_ok=True)
            np.testing.assert_array_equal(lines.minimum[row, column], minimum)
            np.testing.assert_array_equal(lines.maximum[row, column], maximum)


@given(_samples())
def test_a_minute_equals_a_naive_recompute(samples: list[_Sample]) -> None:
    _assert_naive(roll_samples(_frame(samples), T0, T0 + 60, 6), samples)


@given(_samples(), st.randoms(use_true_random=False))
def test_order_and_duplication_change_no_digit(samples: list[_Sample], random: object) -> None:
    shuffled = [*samples, *samples[::2]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    plain = roll_samples(_frame(samples), T0, T0 + 60, 6)
    assert_identical(roll_samples(_frame(shuffled), T0, T0 + 60, 6), plain)


def test_of_two_samples_of_one_time_the_last_counts() -> None:
    samples = [("a", T0, (1.0, 1.0)), ("a", T0 + 1, (3.0, 3.0)), ("a", T0, (5.0, math.nan))]
    lines = roll_samples(_frame(samples), T0, T0 + 60, 6)
    assert lines.mean.tolist() == [[4.0, 3.0]]
    assert lines.count.tolist() == [[2, 1]]


def test_samples_outside_of_the_window_do_not_count() -> None:
    samples = [("a", T0 - 0.001, (9.0, 9.0)), ("a", T0, (1.0, 1.0)), ("a", T0 + 60, (9.0, 9.0))]
    assert roll_samples(_frame(samples), T0, T0 + 60, 6).maximum.tolist() == [[1.0, 1.0]]


def test_a_field_that_was_never_measured_is_a_gap_and_not_zero() -> None:
    lines = roll_samples(_frame([("a", T0, (math.nan, 1.0))]), T0, T0 + 60, 6)
    assert math.isnan(lines.mean[0, 0])
    assert math.isnan(lines.minimum[0, 0])
    assert lines.count.tolist() == [[0, 1]]


def test_nothing_rolls_up_to_nothing() -> None:
    assert len(roll_samples(_frame([]), T0, T0 + 60, 6)) == 0
    assert len(Fold(Kind.NIC).lines(T0, 360)) == 0


def _minutes(samples: Sequence[_Sample]) -> list[Lines]:
    frame = _frame(samples)
    starts = sorted({T0 + (time - T0) // 60 * 60 for _, time, _ in samples})
    return [roll_samples(frame, start, start + 60, 6) for start in starts]


def _folded(minutes: Sequence[Lines]) -> Lines:
    fold = Fold(Kind.NIC)
    for minute in minutes:
        fold.add(minute)
    return fold.lines(T0, 360)


@given(_samples(span=600))
@settings(max_examples=60)
def test_an_hour_of_minutes_equals_the_hour_of_its_samples(samples: list[_Sample]) -> None:
    _assert_naive(_folded(_minutes(samples)), samples)
    whole = roll_samples(_frame(samples), T0, T0 + 3600, 360)
    np.testing.assert_array_equal(_folded(_minutes(samples)).count, whole.count)


@given(_samples(span=600), st.integers(0, 10))
@settings(max_examples=60)
def test_a_fold_continued_from_a_copy_gives_the_same_digits(samples: list[_Sample], at: int) -> None:
    minutes = _minutes(samples)
    first = Fold(Kind.NIC)
    for minute in minutes[:at]:
        first.add(minute)
    continued = first.copy()
    for minute in minutes[at:]:
        continued.add(minute)
    assert_identical(continued.lines(T0, 360), _folded(minutes))
    assert_identical(first.lines(T0, 360), _folded(minutes[:at]))
