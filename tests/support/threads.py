"""Many threads that start at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")


def together(number: int, deed: Callable[[int], A]) -> list[A]:
    """What `deed` answers to each of so many threads that start at the same moment."""
    ready = threading.Barrier(number)

    def one(position: int) -> A:
        ready.wait()
        return deed(position)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))
