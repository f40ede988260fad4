"""Many ids, some at a time: both databases limit the number of parameters of one statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar

T = TypeVar("T")

_SIZE: Final = 500


def batches(items: Iterable[T]) -> Iterator[Sequence[T]]:
    """All of them, in their order, 500 at a time at most."""
    remaining = iter(items)
    while batch := list(islice(remaining, _SIZE)):
        yield batch
