"""On which host a router is. Pure.

A router stays where it is as long as it can: moving it cuts its connections. Different routers are spread over the
hosts by their names (rendezvous hashing: a host more or less moves no router that need not be moved).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shelters:
    """`dead`: hosts of which it is certain that nothing runs on them. `usable`: those that take routers now."""

    usable: Collection[str]
    dead: Collection[str]


def place(router_id: str, present: str | None, shelters: Shelters, *, movable: bool) -> str | None:
    """None: there is no host for it now. One that is not `movable` waits for its host."""
    if present is not None and not (movable and present in shelters.dead):
        return present
    weights = {host_id: _weight(router_id, host_id) for host_id in shelters.usable}
    return max(weights, key=lambda host_id: (weights[host_id], host_id)) if weights else present


def _weight(router_id: str, host_id: str) -> bytes:
    return hashlib.sha256(f"{router_id}\0{host_id}".encode()).digest()
