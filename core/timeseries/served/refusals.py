"""What the answers of a server mean for the one who waits, the same for every store. Pure, but for `patiently`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from core.timeseries.metrics import REQUESTS, RETRIES
from core.timeseries.store import StoreDenied, StoreUnavailable, WriteRefused

ATTEMPTS: Final = 3
LONGEST_WAIT: Final = 5.0
_BUSY: Final = (429, 503)
_DENIED: Final = (401, 403, 404)
_REFUSED: Final = (400, 413, 422)
_WRONG_PATH: Final = b"unsupported path"
_SHOWN: Final = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """`retry_after`: seconds that the server asks to wait, if it does."""

    status: int
    body: bytes
    retry_after: float | None = None


def retry_after(header: str | None) -> float | None:
    """Seconds of a Retry-After header; None for none and for a date, which no time-series server sends."""
    try:
        return max(float(header), 0.0) if header is not None else None
    except ValueError:
        return None


def refusal(status: int, body: bytes) -> Exception | None:
    """What to raise for an answer; None for success.

    401, 403, 404, and 400 for a path that the server does not know: StoreDenied. Other 400, 413, 422: WriteRefused.
    Everything else, 429 and 503 included: StoreUnavailable."""
    if status < 300:
        return None
    reason = f"HTTP {status}: {body[:_SHOWN].decode('utf-8', 'replace').strip() or 'no reason given'}"
    if status in _DENIED or (status == 400 and _WRONG_PATH in body):
        return StoreDenied(reason)
    if status in _REFUSED:
        return WriteRefused(reason)
    return StoreUnavailable(reason)


def wait(answer: Answer, attempt: int) -> float | None:
    """Seconds until the same request is worth repeating; None when it is the caller's turn to decide.

    A server that is busy for longer than `LONGEST_WAIT` is away: the samples wait in the queue, not in a thread."""
    if answer.status not in _BUSY or attempt + 1 >= ATTEMPTS:
        return None
    asked = 0.2 * 2**attempt if answer.retry_after is None else answer.retry_after
    return asked if asked <= LONGEST_WAIT else None


def patiently(store: str, operation: str, ask: Callable[[], Answer], pause: Callable[[float], None]) -> bytes:
    """The body of a successful answer. Raises what `refusal` says, but WriteRefused only for writing: what is refused
    of a `check` is denied, of a question unavailable."""
    attempt = 0
    while True:
        answer = ask()
        REQUESTS.labels(store, operation, str(answer.status)).inc()
        seconds = wait(answer, attempt)
        if seconds is None:
            break
        attempt += 1
        RETRIES.labels(store, str(answer.status)).inc()
        pause(seconds)
    problem = refusal(answer.status, answer.body)
    if isinstance(problem, WriteRefused) and operation != "write":
        problem = StoreDenied(str(problem)) if operation == "check" else StoreUnavailable(str(problem))
    if problem is not None:
        raise problem
    return answer.body
