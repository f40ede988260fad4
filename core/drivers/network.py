"""The port to whatever carries the networks: the simulation, or Linux hosts with namespaces and nftables.

The control plane compiles what each node is to be (`core.network.desired`); a driver brings it about on the host that
it is told, and says which generation it has. It decides nothing.

* A node is applied whole or not at all: nobody ever sees half of it. Flows that it lets pass no more are cut; those
  that it still lets pass go on.
* A node never goes back: what has a later generation already keeps it, and says so. A server that was thought dead and
  wakes up does no harm.
* Repeating is harmless, also after a crash in the middle.
* Where a filter is wanted and cannot be enforced, nothing passes.

Nodes are given in batches, for a host takes a hundred of them in one transaction as fast as one; each succeeds or fails
by itself. Calls come from many threads and are bounded in time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.drivers.compute import DriverFault, Refused, Unreachable
from core.network.desired import Desired, Node

__all__ = ["Applied", "DriverFault", "Failed", "NetworkDriver", "Outcome", "Refused", "Unreachable"]


@dataclass(frozen=True, slots=True)
class Applied:
    """The generation that the node has now: the desired one, or a later one that it had already."""

    generation: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The node is as it was. `reason` is for those who run the cloud."""

    reason: str


Outcome = Applied | Failed


class NetworkDriver(Protocol):
    def hosts(self) -> Collection[str]:
        """The ids of the hosts that this driver speaks for, reachable or not. Others take none of its nodes."""
        ...

    def apply(self, host_id: str, wanted: Sequence[Desired]) -> Mapping[Node, Outcome]:
        """The nodes are on the host as desired, or not there when their state is None. An outcome for each of them.

        Raises Unreachable: what became of them is unknown until `report` tells; Refused: not one of its hosts.
        """
        ...

    def report(self, host_ids: Collection[str]) -> Mapping[str, Mapping[Node, int]]:
        """The generation of every node that is on these hosts, asked all at once; 0: it is there and not whole. A host
        that does not answer is absent: nothing is known about it. Never raises."""
        ...

    def health(self, host_ids: Collection[str]) -> Mapping[str, bool]:
        """Whether back-ends of the balancers on these hosts take connections, by their ids. One that was not checked
        yet is absent, and so are those on hosts that do not answer. Never raises."""
        ...
