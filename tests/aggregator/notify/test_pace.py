"""When letters and receivers are tried again."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from aggregator.notify.pace import LONGEST_ASKED_SECONDS, LONGEST_SECONDS, Circuit, delay, wait
from tests.support.announcements import MOMENT


def test_pauses_double_up_to_a_limit() -> None:
    assert [delay(n, 0.0) for n in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, 8.0]
    assert delay(1000, 0.0) == LONGEST_SECONDS


@given(st.integers(1, 10_000), st.floats(0, 1), st.none() | st.floats(0, 1e9))
def test_jitter_takes_at_most_half_and_a_receivers_wish_is_honoured_within_reason(
    failures: int, jitter: float, asked: float | None
) -> None:
    assert delay(failures, 0.0) / 2 <= delay(failures, jitter) <= delay(failures, 0.0) <= LONGEST_SECONDS
    assert wait(failures, asked, jitter) >= min(asked or 0.0, LONGEST_ASKED_SECONDS)
    assert wait(failures, asked, jitter) <= max(LONGEST_SECONDS, LONGEST_ASKED_SECONDS)


def test_a_circuit_opens_after_three_failures_and_closes_with_one_success() -> None:
    circuit = Circuit()
    for _ in range(2):
        circuit = circuit.failed(MOMENT, None, 0.0)
        assert circuit.closed(MOMENT)
    circuit = circuit.failed(MOMENT, None, 0.0)
    assert not circuit.closed(MOMENT)
    assert circuit.closed(MOMENT + timedelta(seconds=4))
    assert circuit.allowance(50) == 1
    assert circuit.succeeded().allowance(50) == 50


def test_a_receiver_that_asks_for_a_pause_gets_it_at_once() -> None:
    circuit = Circuit().failed(MOMENT, 120.0, 0.5)
    assert not circuit.closed(MOMENT + timedelta(seconds=119))
    assert circuit.closed(MOMENT + timedelta(seconds=120))
