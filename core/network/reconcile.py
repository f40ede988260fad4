"""The reconciler: what hosts have follows what tenants want. Step functions that a scheduler calls.

    step    apply what is due (each half second)
    sweep   find what hosts lost, or should not have, and let it be applied again (each ten seconds)
    look    take over which back-ends are healthy (each two seconds)

Nothing is applied inside a transaction. Several servers on one database share the nodes (`core.network.claims` has the
race and the worst moment); everything here may be repeated.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.clock import Clock
from core.db.batches import batches
from core.db.engine import Database
from core.drivers.network import Applied, DriverFault, Failed, NetworkDriver, Outcome, Unreachable
from core.network import backends, claims, drift, metrics, reading, sweeping
from core.network.balancer_rows import BackEnd
from core.network.desired import Desired, Node
from core.network.reading import Wanted
from core.sealing import SealingKeys

BATCH: Final = 500
"""Nodes that are claimed at once."""
_MOST_ROUNDS: Final = 20
_HOST_AWAITED: Final = timedelta(seconds=2)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`pool` runs the calls of different hosts at once; `jitter` gives numbers from 0 to 1."""

    database: Database
    driver: NetworkDriver
    clock: Clock
    keys: SealingKeys
    pool: Executor
    jitter: Callable[[], float]


class Reconciler:
    """`owner` names this server in claims."""

    def __init__(self, around: Surroundings, owner: str) -> None:
        self._around = around
        self._owner = owner

    def step(self) -> int:
        """Apply what is due, batch after batch; how many nodes were confirmed or removed. Raises OperationalError.

        1. Claim a batch: committed before the driver is asked.
        2. Read and compile it, in one snapshot.
        3. Let the driver apply it, host by host, all hosts at once.
        4. Write down what became of each node.
        """
        total = 0
        for _ in range(_MOST_ROUNDS):
            nodes = self._claim()
            if not nodes:
                break
            total += self._round(nodes)
        return total

    def sweep(self) -> None:
        """Compare all hosts with the rows; publish gauges. Raises OperationalError."""
        asked = self._around.driver.hosts()
        report = self._around.driver.report(asked)
        metrics.SILENT_HOSTS.set(drift.silent(report, asked))
        with self._around.database.platform() as session:
            found = drift.compare(sweeping.known(session), report)
            unmarked = sweeping.unmarked(session)
            found = drift.without(found, unmarked)
            claims.publish(session)
        for kind, nodes in (("lost", found.lost), ("moved", found.moved), ("unmarked", unmarked)):
            if nodes:
                metrics.DRIFT.labels(kind).inc(len(nodes))
                _log.warning("network_drift", kind=kind, nodes=len(nodes))
        if found.lost or found.moved or unmarked:
            with self._around.database.platform(write=True) as session:
                sweeping.apply_again(session, {**found.lost, **found.moved})
                sweeping.mark(session, unmarked)
        self._remove(found.strange)

    def look(self) -> None:
        """Raises OperationalError."""
        seen = self._around.driver.health(self._around.driver.hosts())
        news: dict[str, bool] = {}
        with self._around.database.platform() as session:
            for ids in batches(seen):
                rows = session.execute(select(BackEnd.id, BackEnd.healthy).where(BackEnd.id.in_(ids)))
                news |= {id_: seen[id_] for id_, healthy in rows if seen[id_] is not healthy}
        if news:
            with self._around.database.platform(write=True) as session:
                backends.record_health(session, news)

    def _claim(self) -> list[Node]:
        database, now = self._around.database, self._around.clock.now()
        with database.platform() as session:
            if not claims.anything_due(session, now):
                return []
        with database.platform(write=True) as session:
            return claims.claim(session, self._owner, BATCH, now)

    def _round(self, nodes: Sequence[Node]) -> int:
        with metrics.COMPILE_SECONDS.time(), self._around.database.platform() as session:
            wanted = reading.read(session, nodes, self._around.driver.hosts(), self._around.keys)
        outcomes = self._apply(wanted)
        with self._around.database.platform(write=True) as session:
            free = claims.lock_free(session, [one.claimed.node for one in wanted])
            total = sum(self._settle(session, one, outcomes) for one in wanted if one.claimed.node in free)
        for one in wanted:
            if one.claimed.node not in free:
                with self._around.database.platform(write=True) as session:
                    total += self._settle(session, one, outcomes)
        return total

    def _apply(self, wanted: Sequence[Wanted]) -> Mapping[Node, Outcome]:
        outcomes: dict[Node, Outcome] = {one.claimed.node: Failed(one.problem) for one in wanted if one.problem}
        by_host: defaultdict[str, list[Desired]] = defaultdict(list)
        for one in wanted:
            if one.host_id is not None and not one.problem:
                by_host[one.host_id].append(Desired(one.claimed.node, one.claimed.wanted, one.state))
        for done in self._around.pool.map(self._apply_on, by_host.keys(), by_host.values()):
            outcomes.update(done)
        return outcomes

    def _apply_on(self, host_id: str, wanted: Sequence[Desired]) -> Mapping[Node, Outcome]:
        began = time.perf_counter()
        try:
            return self._around.driver.apply(host_id, wanted)
        except DriverFault as problem:
            known = "unreachable" if isinstance(problem, Unreachable) else "refused"
            _log.warning("network_host_failed", host_id=host_id, problem=known, reason=problem.reason)
            return {one.node: Failed(problem.reason) for one in wanted}
        finally:
            metrics.APPLY_SECONDS.observe(time.perf_counter() - began)

    def _settle(self, session: Session, one: Wanted, outcomes: Mapping[Node, Outcome]) -> bool:
        """Whether the host is as wanted now."""
        outcome, held = self._write(session, one, outcomes.get(one.claimed.node))
        metrics.APPLIED.labels(one.claimed.node.type, outcome if held else "overtaken").inc()
        return held and outcome in {"confirmed", "removed"}

    def _write(self, session: Session, one: Wanted, outcome: Outcome | None) -> tuple[str, bool]:
        """What became of it, and whether it was still this server's."""
        claimed, now = one.claimed, self._around.clock.now()
        if claimed.gone and not isinstance(outcome, Failed):
            return "removed", claims.removed(session, self._owner, claimed)
        match outcome:
            case Applied(generation) if generation > claimed.wanted:
                return "ahead", claims.ahead(session, self._owner, claimed, generation)
            case Applied():
                assert one.host_id is not None
                return "confirmed", claims.confirmed(session, self._owner, claimed, one.host_id)
            case Failed(reason):
                pause = timedelta(seconds=claims.delay(claimed.attempts + 1, self._around.jitter()))
                _log.info("network_node_failed", node=str(claimed.node), attempts=claimed.attempts + 1, reason=reason)
                return "failed", claims.failed(session, self._owner, claimed, reason, now + pause)
            case None:
                return "waiting", claims.postponed(session, self._owner, claimed, now + _HOST_AWAITED)

    def _remove(self, strange: Mapping[str, Collection[Desired]]) -> None:
        for host_id, nodes in strange.items():
            metrics.DRIFT.labels("strange").inc(len(nodes))
            _log.warning("network_drift", kind="strange", nodes=len(nodes), host_id=host_id)
            self._apply_on(host_id, tuple(nodes))
