"""Where hosts are not as was confirmed: a pure comparison of the nodes' rows with what the driver reports.

A node that is being applied, or is due, is passed over: it will be as it is wanted without being found here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from core.network.desired import Desired, Node


@dataclass(frozen=True, slots=True)
class Known:
    """What the rows say of a node. `settled`: it is confirmed, and nobody works on it. `belongs`: the host that its VM
    is on now; that of a router is `host_id` itself."""

    generation: int
    host_id: str | None
    settled: bool
    belongs: str | None


@dataclass(frozen=True, slots=True)
class Drift:
    """To be applied again: `lost` and `moved`, with the generation that was confirmed. `strange`, by host: to be
    removed from it."""

    lost: dict[Node, int] = field(default_factory=dict)
    moved: dict[Node, int] = field(default_factory=dict)
    strange: dict[str, list[Desired]] = field(default_factory=dict)


def compare(known: Mapping[Node, Known], report: Mapping[str, Mapping[Node, int]]) -> Drift:
    """`known` was read after the report: a node that was applied in between is not settled, or is where it says. A
    host that is not in the report is not judged."""
    drift = Drift()
    for node, row in known.items():
        if not row.settled or row.host_id is None:
            continue
        if row.belongs is not None and row.belongs != row.host_id:
            drift.moved[node] = row.generation
        elif row.host_id in report and report[row.host_id].get(node) != row.generation:
            drift.lost[node] = row.generation
    for host_id, found in report.items():
        strange = [Desired(node, generation, None) for node, generation in found.items()
                   if _strange(known.get(node), host_id)]  # fmt: skip
        if strange:
            drift.strange[host_id] = strange
    return drift


def without(drift: Drift, spared: Collection[Node]) -> Drift:
    """Nodes that nobody marked yet are wanted all the same: they are not strange."""
    kept = {host_id: [one for one in nodes if one.node not in spared] for host_id, nodes in drift.strange.items()}
    return Drift(drift.lost, drift.moved, {host_id: nodes for host_id, nodes in kept.items() if nodes})


def silent(report: Collection[str], asked: Collection[str]) -> int:
    """How many hosts did not answer."""
    return len(set(asked) - set(report))


def _strange(row: Known | None, host_id: str) -> bool:
    return row is None or (row.settled and row.host_id != host_id)
