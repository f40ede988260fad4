"""Objects as small numbers: an append-only numbering of the object names of one kind.

Not thread-safe for `extend`: its owner calls it under a lock. Everything else may run beside it, because slots are only
ever added.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from core.timeseries.store import Ints


class Names:
    """`slot` is the position of a name in the order of first appearance; `rank` its position among the sorted names."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._slots: dict[str, int] = {}
        self._rank: Ints = np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._names)

    def extend(self, names: Iterable[str]) -> None:
        """Number new names, in their order. A known name is an error of the caller."""
        for name in names:
            self._names.append(name)
            self._slots[name] = len(self._names) - 1

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those not numbered yet, each once, in order of appearance."""
        return [name for name in dict.fromkeys(names) if name not in self._slots]

    def slots(self, names: Sequence[str]) -> Ints:
        """The slot of every name; KeyError for one that is not numbered."""
        slots = self._slots
        return np.fromiter((slots[name] for name in names), dtype=np.int64, count=len(names))

    def known(self, names: Collection[str]) -> Ints:
        """The slots of the names that are numbered, ascending, each once."""
        slots = self._slots
        return np.array(sorted({slots[name] for name in names if name in slots}), dtype=np.int64)

    def take(self, slots: Ints) -> list[str]:
        names = self._names
        return [names[slot] for slot in slots.tolist()]

    def rank(self) -> Ints:
        """By slot: the position of its name among all names, sorted by code point."""
        rank = self._rank
        if len(rank) < len(self._names):
            names = self._names[:]
            rank = np.empty(len(names), dtype=np.int64)
            rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
            self._rank = rank
        return rank
