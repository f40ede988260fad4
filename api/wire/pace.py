"""How fast one token may call: a bucket for each, which holds a minute's worth of requests and fills steadily."""

from __future__ import annotations

import threading
from typing import Final

_SECONDS: Final = 60.0
_SWEEP_AT: Final = 10_000
"""So many buckets are kept before the full ones are thrown away."""


class Pace:
    """`rate`: requests a second; 0: any number. For any thread."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._size = max(1.0, rate * _SECONDS)
        self._lock = threading.Lock()
        self._empty_at: dict[str, float] = {}

    def delay(self, token_id: str, now: float) -> float:
        """Takes one request out of the token's bucket: 0. Or there is none left: seconds until there is.

        A bucket is the moment at which it was empty, or would have been, at the rate at which it fills.
        """
        if self._rate <= 0:
            return 0.0
        with self._lock:
            full_since = now - self._size / self._rate
            empty_at = max(self._empty_at.get(token_id, full_since), full_since) + 1 / self._rate
            if empty_at > now:
                return empty_at - now
            if len(self._empty_at) >= _SWEEP_AT:
                self._empty_at = {id_: at for id_, at in self._empty_at.items() if at > full_since}
            self._empty_at[token_id] = empty_at
            return 0.0
