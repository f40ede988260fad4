"""Numbers that look random and are not: the same seed, stream and index give the same number, on every machine and for
ever.

A library's generators promise neither stability across versions nor access by index, and load needs both: noise at any
instant is looked up, never replayed. The mixer is SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
Generators, OOPSLA 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Floats = NDArray[np.float64]
Words = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


def mix(words: Words) -> Words:
    """A bijection of 64-bit words whose output bits all depend on all input bits. `words` has at least one
    dimension."""
    z = words + _GOLDEN
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


def unit(words: Words) -> Floats:
    """[0, 1), uniform, of mixed words."""
    return (words >> _S11).astype(np.float64) * 2.0**-53


class Chance:
    """Streams of numbers of one seed, each addressed by name: adding a stream changes no other."""

    def __init__(self, seed: int) -> None:
        self._seed = np.array([seed & 0xFFFFFFFFFFFFFFFF], np.uint64)

    def words(self, stream: str, count: int) -> Words:
        """(count,) mixed words."""
        name = np.frombuffer(stream.encode().ljust(32, b"\0")[:32], np.uint64)
        key = mix(self._seed)
        for part in name:
            key = mix(np.bitwise_xor(key, part))
        result: Words = mix(np.add(key, np.arange(count, dtype=np.uint64)))
        return result

    def uniform(self, stream: str, count: int, low: float = 0.0, high: float = 1.0) -> Floats:
        return low + (high - low) * unit(self.words(stream, count))

    def choice(self, stream: str, count: int, options: Sequence[tuple[T, float]]) -> list[T]:
        """`options` are values with their weights."""
        edges = np.cumsum([weight for _, weight in options])
        picks = np.searchsorted(edges, self.uniform(stream, count) * edges[-1], side="right")
        return [options[int(pick)][0] for pick in picks]
