"""How fast a token may call."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from api.wire.pace import Pace
from tests.api.conftest import Cloud


def test_a_minutes_worth_may_come_at_once_and_then_the_rate() -> None:
    pace = Pace(2.0)
    assert sum(pace.delay("t", 0.0) == 0 for _ in range(200)) == 120
    assert pace.delay("t", 0.0) == 0.5
    assert pace.delay("t", 0.5) == 0
    assert pace.delay("t", 0.5) > 0
    assert pace.delay("other", 0.5) == 0


def test_no_rate_is_no_limit() -> None:
    pace = Pace(0)
    assert not any(pace.delay("t", 0.0) for _ in range(10_000))


@given(st.lists(st.floats(0, 5), max_size=300), st.floats(0.5, 3))
def test_no_span_of_time_has_more_than_its_share(pauses: list[float], rate: float) -> None:
    pace, now, taken = Pace(rate), 1000.0, []
    for pause in pauses:
        now += pause
        if pace.delay("t", now) == 0:
            taken.append(now)
    for first, begin in enumerate(taken):
        for last, end in enumerate(taken[first:], first):
            assert last - first + 1 <= rate * (end - begin) + rate * 60 + 1.001


def test_a_token_that_calls_too_fast_is_told_when_to_come_back(make_cloud: Callable[..., Cloud]) -> None:
    cloud = make_cloud(request_rate=0.1)
    answers = [cloud.alice("cloudvm/search") for _ in range(8)]
    assert [answer.status for answer in answers] == [200] * 6 + [429] * 2
    assert "[too_many_requests]" in answers[-1].text
    assert "10" in answers[-1].text
    assert cloud.bob("cloudvm/search").succeeded
    cloud.clock.advance(10)
    assert cloud.alice("cloudvm/search").succeeded
