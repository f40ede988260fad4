"""Which of several collectors scrapes a target: rendezvous hashing (Thaler and Ravishankar, 1998).

Every collector computes the same owners from nothing but the target's host and the number of shards. When that number
changes from n to n + 1, one target in n + 1 moves, and only to the new shard; the pages of one host stay together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

from collector.targets import TargetSource
from core.errors import Invalid
from core.hosts.targets import Target

_TEXT = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Shard:
    """`index` counts from 1. `replicas`: how many shards scrape each target."""

    index: int = 1
    count: int = 1
    replicas: int = 1

    def __post_init__(self) -> None:
        if not (1 <= self.index <= self.count and 1 <= self.replicas <= self.count):
            raise Invalid("shard", f"{self.index}/{self.count} with {self.replicas} replicas", "1/1, 1/2, 2/2, 1/3 ...")

    @classmethod
    def parse(cls, text: str, replicas: int = 1) -> Self:
        """`2/3`. Raises Invalid."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise Invalid("shard", text, "index/count, such as 2/3")
        return cls(int(found[1]), int(found[2]), replicas)

    def owns(self, key: str) -> bool:
        ranked = sorted(range(1, self.count + 1), key=lambda shard: _weight(key, shard), reverse=True)
        return self.index in ranked[: self.replicas]


@dataclass(frozen=True, slots=True)
class ShardSource:
    """The targets of one shard."""

    inner: TargetSource
    shard: Shard

    def targets(self) -> tuple[Target, ...]:
        found = self.inner.targets()
        if self.shard.count == 1:
            return found
        return tuple(target for target in found if self.shard.owns(target.host_id))


def _weight(key: str, shard: int) -> bytes:
    return blake2b(f"{shard} {key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
