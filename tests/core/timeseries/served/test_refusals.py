"""Each answer of a server is handled in its own way."""

from __future__ import annotations

import pytest

from core.timeseries.served.refusals import ATTEMPTS, LONGEST_WAIT, Answer, patiently, retry_after
from core.timeseries.store import StoreDenied, StoreUnavailable, WriteRefused


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (400, WriteRefused),
        (401, StoreDenied),
        (403, StoreDenied),
        (404, StoreDenied),
        (413, WriteRefused),
        (500, StoreUnavailable),
    ],
)
def test_a_refusal_is_not_repeated(status: int, raised: type[Exception]) -> None:
    asked: list[int] = []

    def ask() -> Answer:
        asked.append(status)
        return Answer(status, b"because")

    with pytest.raises(raised, match=f"{status}: because"):
        patiently("test", "write", ask, lambda _: None)
    assert len(asked) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_says_so(status: int) -> None:
    answers = [Answer(status, b"", 2.0), Answer(status, b"", None), Answer(204, b"done")]
    waited: list[float] = []
    assert patiently("test", "write", lambda: answers.pop(0), waited.append) == b"done"
    assert waited == [2.0, 0.4]


def test_patience_ends() -> None:
    waited: list[float] = []
    with pytest.raises(StoreUnavailable, match="429"):
        patiently("test", "write", lambda: Answer(429, b"", 1.0), waited.append)
    assert len(waited) == ATTEMPTS - 1
    with pytest.raises(StoreUnavailable, match="503"):
        patiently("test", "write", lambda: Answer(503, b"", LONGEST_WAIT + 1), waited.append)
    assert len(waited) == ATTEMPTS - 1


def test_a_question_is_never_a_refused_write() -> None:
    with pytest.raises(StoreUnavailable, match="400"):
        patiently("test", "read", lambda: Answer(400, b""), lambda _: None)


def test_retry_after_in_seconds() -> None:
    assert (retry_after("3"), retry_after("Wed, 21 Oct 2026"), retry_after(None)) == (3.0, None, None)
