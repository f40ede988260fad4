"""The hosts as the watch reads and writes them: every change of state is a compare-and-set on the token it was
decided on.

A change of state, the states that the host's VMs repeat, the new homes of the VMs of a dead host and all events about
it stand in one transaction. Who comes second with a decision on the same token changes nothing, and records nothing.
Each of these transactions locks all hosts first, in one order: two watches that saw different things would otherwise
wait for each other in a ring.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Update, select, update
from sqlalchemy.orm import Session

from core.compute.hosting import lock_all
from core.compute.rows import Vm
from core.db.guarded import changed
from core.db.session import of_every_kind
from core.hosts import metrics
from core.hosts.events import Note, record_note, record_transition
from core.hosts.recovery import move, plan_for
from core.hosts.rows import Host, HostEvent, HostReason, Origin
from core.hosts.state import HostStatus, Transition
from core.hosts.targets import Exporter

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Watched:
    """One host as the watch sees it. `urls` are its pages, by source."""

    id: str
    origin: Origin
    maintenance: bool
    connected: bool
    urls: Mapping[Exporter, str]
    status: HostStatus

    @property
    def targets(self) -> tuple[str, ...]:
        """Its names in the TARGET series."""
        return tuple(f"{self.id}/{source}" for source in self.urls)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the machine said about a host, and whether its last scrape succeeded."""

    host: Watched
    after: HostStatus
    transitions: Sequence[Transition]
    connected: bool


def load(session: Session) -> list[Watched]:
    """All hosts, by id."""
    columns = select(
        Host.id, Host.origin, Host.maintenance, Host.connected, Host.exporter_url, Host.vm_exporter_url, Host.state,
        Host.state_since, Host.deadline, Host.owner, Host.fence, Host.fence_failures,
    ).order_by(Host.id)  # fmt: skip
    found = []
    for id_, origin, maintenance, connected, node, libvirt, *status in session.execute(columns):
        urls = {exporter: url for exporter, url in ((Exporter.NODE, node), (Exporter.LIBVIRT, libvirt)) if url}
        found.append(Watched(id_, origin, maintenance, connected, urls, HostStatus(*status)))
    return found


def write(
    session: Session,
    decisions: Sequence[Decision],
    notes: Iterable[Note],
    at: datetime,
    detector: str,
    overcommit: float,
) -> dict[str, str]:
    """Enter what changed; the VMs that have a new home, by id. All states first: who dies now takes no VMs in."""
    lock_all(session)
    for connected in (True, False):
        ids = [decision.host.id for decision in decisions if decision.connected is connected != decision.host.connected]
        if ids:
            session.execute(update(Host).where(Host.id.in_(ids)).values(connected=connected))
    for note in notes:
        record_note(session, at, detector, note)
    entered = [decision for decision in decisions if decision.transitions and _enter(session, decision, detector)]
    homes: dict[str, str] = {}
    for decision in entered:
        if _is_fenced(decision) and not decision.host.maintenance:
            moved, left = _recover(session, decision.host, at, detector, overcommit)
            _report_left(session, decision.host, left, at, detector)
            homes |= moved
    return homes


def renew(session: Session, hosts: Iterable[Watched]) -> None:
    """Write the deadlines of hosts, without a change of state; and let VMs repeat what their hosts are."""
    for host in hosts:
        session.execute(_as_decided(host).values(deadline=host.status.deadline))
    own = select(Host.state).where(Host.id == Vm.host_id).scalar_subquery()
    behind = of_every_kind(update(Vm)).where(Vm.host_id.is_not(None), Vm.host_state != own)
    session.execute(behind.values(host_state=own))


def recover_again(
    session: Session, hosts: Iterable[Watched], at: datetime, detector: str, overcommit: float
) -> dict[str, str]:
    """Once more for the VMs that are still on fenced hosts: the process that fenced them may have died before it came
    to them, or there was no room. Only for hosts that are off now. The VMs that have a new home, by id."""
    homes: dict[str, str] = {}
    for host in hosts:
        why = select(HostEvent.reason).where(HostEvent.host_id == host.id, HostEvent.to_state.is_not(None))
        newest = why.order_by(HostEvent.id.desc()).limit(1)
        if session.scalar(newest) is HostReason.FENCED:
            homes |= _recover(session, host, at, detector, overcommit)[0]
    return homes


def _as_decided(host: Watched) -> Update:
    return update(Host).where(Host.id == host.id, Host.state == host.status.state, Host.fence == host.status.fence)


def _enter(session: Session, decision: Decision, detector: str) -> bool:
    host, after = decision.host, decision.after
    statement = _as_decided(host).values(
        state=after.state, state_since=after.since, deadline=after.deadline, owner=after.owner, fence=after.fence,
        fence_failures=after.fence_failures,
    )  # fmt: skip
    if not changed(session, statement):
        metrics.RACES_LOST.inc()
        return False
    session.execute(of_every_kind(update(Vm)).where(Vm.host_id == host.id).values(host_state=after.state))
    for change in decision.transitions:
        record_transition(session, host.id, detector, change)
        metrics.TRANSITIONS.labels(int(change.from_state), int(change.to_state)).inc()
        _log.warning("host state", host_id=host.id, before=int(change.from_state), after=int(change.to_state),
                     reason=str(change.reason))  # fmt: skip
    return True


def _is_fenced(decision: Decision) -> bool:
    return bool(decision.transitions) and decision.transitions[-1].reason is HostReason.FENCED


def _recover(
    session: Session, host: Watched, at: datetime, detector: str, overcommit: float
) -> tuple[dict[str, str], dict[str, str]]:
    """The new homes of the VMs that moved, and why the others did not."""
    wanted = plan_for(session, host.id, host.origin, overcommit)
    moved = move(session, host.id, wanted)
    for vm_id, home in moved.items():
        known = {"vm_id": vm_id, "to_host": home}
        record_note(session, at, detector, Note(HostReason.VM_RESTARTED, urgent=False, evidence=known, host_id=host.id))
    metrics.RESTARTS.labels("moved").inc(len(moved))
    return moved, wanted.left | dict.fromkeys(wanted.homes.keys() - moved.keys(), "it was changed meanwhile")


def _report_left(session: Session, host: Watched, left: Mapping[str, str], at: datetime, detector: str) -> None:
    for vm_id, why in left.items():
        known = {"vm_id": vm_id, "why": why}
        note = Note(HostReason.VM_NOT_RESTARTED, urgent=True, evidence=known, host_id=host.id)
        record_note(session, at, detector, note)
    metrics.RESTARTS.labels("left").inc(len(left))
