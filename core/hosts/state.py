"""The host state machine: pure decisions from a status, the evidence, the time and the policy. No I/O.

    1 running --heartbeat lost--> -1 fault detecting --no fault found--> 2 offline
                                  -1 --dead--> -2 HA detecting --fenced--> 0 stopped
                                               -2 --not fenced by the deadline--> -1, urgent; nothing is restarted
    any --answers again--> 1

The worst that may happen is that a VM runs twice. It is closed in three places: only `FENCED`, the certificate of the
power controller, leads from -2 to 0; -2 is a lock of one detector (`Host.fence` in the WHERE of every UPDATE); and
the answer of a fencing that was started under an older token is not listened to. The second worst is that our own
trouble looks like everybody's death. While we see nobody, or too many are suspected at once, no host moves towards
-2. -1 and -2 have deadlines and are left by them whatever the evidence; failed fencings are counted, so that a host
cannot circle between the two.

After CloudStack's HAManagerImpl (states, deadlines), Proxmox VE (lock by time), masakari-monitors (agreeing samples,
own link first) and Octavia (the brake).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from core.drivers.power import Power
from core.hosts.rows import HostReason, HostState

MISSES: Final = 2
GOODS: Final = 2


class Probe(StrEnum):
    """What the host's own ports said when asked directly, best answer of all of them."""

    ANSWERS = "answers"
    """It speaks HTTP: the machine, its network and a page are alive, whatever the scrapes say."""
    ACCEPTS = "accepts"
    """It takes connections and says nothing: the machine runs; a page hangs, or something on the way swallows."""
    REFUSED = "refused"
    """Nobody listens there."""
    SILENT = "silent"
    """No reaction at all."""


@dataclass(frozen=True, slots=True)
class Policy:
    """All in seconds unless named otherwise. `grace`: how late a sample may be before its absence counts.

    `confirm_for` and `presume_for`: how long a host stays in -1 before a death that its power controller reports, or
    one that is inferred from complete silence, is acted upon. `blind_hold`: how long hosts keep their state while we
    see nobody. `brake_count`, `brake_ratio`: more suspects than either at once (and more than two) engage the brake.
    """

    interval: float
    grace: float
    confirm_for: float
    presume_for: float
    detect_for: float
    ha_for: float
    blind_hold: float
    fence_attempts: int = 3
    brake_count: int = 25
    brake_ratio: float = 0.5

    @classmethod
    def for_interval(cls, interval: float, timeout: float) -> Policy:
        """What follows from the scrape interval and the scrape time-out. Fencing takes its time however often we
        scrape; no death is acted upon before the hosts that died with it have been missed too."""
        grace = min(timeout, interval) + 0.5
        return cls(
            interval=interval,
            grace=grace,
            confirm_for=interval + grace,
            presume_for=3 * interval,
            detect_for=6 * interval,
            ha_for=max(60.0, 6 * interval),
            blind_hold=6 * interval,
        )


@dataclass(frozen=True, slots=True)
class Beat:
    """One source of heartbeats: consecutive failed or good samples up to `last_at` (epoch seconds).

    `good_from` is the time of the first of the good ones. Without any sample `last_at` is when the watch began.
    """

    source: str
    last_at: float
    misses: int = 0
    goods: int = 0
    good_from: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """`power` None: no controller. `fenced` is the token under which fencing was certified, if it was.

    `unanswered_for`: seconds since the first of the probes in a row that brought no answer.
    `blind_for`: seconds since we see nobody at all; None while we see somebody. `braked`: too many suspects at once.
    """

    beats: tuple[Beat, ...]
    detector: str
    probe: Probe | None = None
    unanswered_for: float = math.inf
    power: Power | None = None
    fenced: int | None = None
    blind_for: float | None = None
    braked: bool = False
    maintenance: bool = False


@dataclass(frozen=True, slots=True)
class HostStatus:
    """What the machine remembers. `fence` grows with every transition; the -2 that is held now is held under its
    value."""

    state: HostState
    since: datetime
    deadline: datetime | None = None
    owner: str | None = None
    fence: int = 0
    fence_failures: int = 0


@dataclass(frozen=True, slots=True)
class Transition:
    """`urgent`: a person must look at it. `evidence` is for people: what was known, as text."""

    at: datetime
    from_state: HostState
    to_state: HostState
    reason: HostReason
    urgent: bool
    evidence: Mapping[str, str]


_Move = tuple[HostState, HostReason] | None


def step(
    status: HostStatus, evidence: Evidence, now: datetime, policy: Policy
) -> tuple[HostStatus, tuple[Transition, ...]]:
    """The next status, and the transition that leads there, if any. At most one transition per step."""
    move = _MOVES[status.state](status, evidence, now, policy)
    if move is None:
        return status, ()
    state, reason = move
    failed = reason is HostReason.FENCE_FAILED
    after = HostStatus(
        state=state,
        since=now,
        deadline=_deadline(state, now, policy),
        owner=evidence.detector if state is HostState.HA_DETECTING else None,
        fence=status.fence + 1,
        fence_failures=0 if state is HostState.RUNNING else status.fence_failures + failed,
    )
    return after, (Transition(now, status.state, state, reason, failed, describe(evidence, now)),)


def resumed(status: HostStatus, now: datetime, policy: Policy) -> HostStatus:
    """The status after our own absence or a jump of the clock: time that nobody watched is not evidence against the
    host.

    A deadline that passed meanwhile, or that the clock has put out of reach, begins anew. Not a transition: no event,
    no token.
    """
    limit = _deadline(status.state, now, policy)
    if limit is None or (status.deadline is not None and now < status.deadline <= limit):
        return status
    return replace(status, deadline=limit)


def lost(evidence: Evidence, now: datetime, policy: Policy) -> bool:
    """No source of heartbeats has been heard for MISSES intervals, and the host does not answer when asked directly.

    Where no scrape has failed and there are only none, because the collector or the store is away, one probe that is
    not answered proves less than a missed scrape: there must be an interval of them.
    """
    if not evidence.beats or evidence.probe is Probe.ANSWERS:
        return False
    patience = MISSES * policy.interval + policy.grace
    asked_enough = evidence.unanswered_for >= policy.interval
    return all(
        beat.misses >= MISSES or (asked_enough and now.timestamp() - beat.last_at > patience) for beat in evidence.beats
    )


def heard(evidence: Evidence, now: datetime, policy: Policy) -> bool:
    """The newest sample of some source is good and fresh, or the host answers when asked directly."""
    if evidence.probe is Probe.ANSWERS:
        return True
    patience = policy.interval + policy.grace
    return any(beat.goods and now.timestamp() - beat.last_at <= patience for beat in evidence.beats)


def may_fence(status: HostStatus, evidence: Evidence, now: datetime, policy: Policy) -> bool:
    """The detector holds -2 in time, and what made the host look dead still stands: only then it may switch it off."""
    return (
        status.state is HostState.HA_DETECTING
        and status.owner == evidence.detector
        and status.deadline is not None
        and now < status.deadline
        and not heard(evidence, now, policy)
        and _may_act(status, evidence, policy)
        and _dead(evidence, now, policy)
    )


def describe(evidence: Evidence, now: datetime) -> dict[str, str]:
    """The evidence as text, for the history."""
    known: dict[str, str] = {}
    for beat in evidence.beats:
        age = f"last sample {now.timestamp() - beat.last_at:.1f} s ago"
        known[f"beat.{beat.source}"] = f"{beat.goods} good, {age}" if beat.goods else f"{beat.misses} missed, {age}"
    known["probe"] = "not asked" if evidence.probe is None else str(evidence.probe)
    known["power"] = "no controller" if evidence.power is None else str(evidence.power)
    known["brake"] = "engaged" if evidence.braked else "off"
    known["own_link"] = "sees somebody" if evidence.blind_for is None else f"sees nobody for {evidence.blind_for:.1f} s"
    known["maintenance"] = "yes" if evidence.maintenance else "no"
    return known


def _running(_: HostStatus, evidence: Evidence, now: datetime, policy: Policy) -> _Move:
    held = evidence.blind_for is not None and evidence.blind_for < policy.blind_hold
    if lost(evidence, now, policy) and not held:
        return HostState.FAULT_DETECTING, HostReason.HEARTBEAT_LOST
    return None


def _detecting(status: HostStatus, evidence: Evidence, now: datetime, policy: Policy) -> _Move:
    if _returned(status, evidence, now, policy):
        return HostState.RUNNING, HostReason.ANSWERED
    if _switched_off_on_purpose(evidence, now, policy):
        return HostState.STOPPED, HostReason.MAINTENANCE
    if _may_act(status, evidence, policy) and _dead(evidence, now, policy):
        certain = evidence.power is Power.OFF
        wait = policy.confirm_for if certain else policy.presume_for
        if now >= status.since + timedelta(seconds=policy.detect_for if status.fence_failures else wait):
            return HostState.HA_DETECTING, HostReason.POWERED_OFF if certain else HostReason.PRESUMED_DEAD
    if not _overdue(status, now):
        return None
    if heard(evidence, now, policy):
        return HostState.RUNNING, HostReason.ANSWERED
    return HostState.OFFLINE, HostReason.NO_FAULT_FOUND


def _ha(status: HostStatus, evidence: Evidence, now: datetime, policy: Policy) -> _Move:
    if status.owner == evidence.detector and evidence.fenced == status.fence:
        return HostState.STOPPED, HostReason.FENCED
    if _returned(status, evidence, now, policy):
        return HostState.RUNNING, HostReason.ANSWERED
    if evidence.maintenance:
        return HostState.FAULT_DETECTING, HostReason.MAINTENANCE
    if _overdue(status, now):
        return HostState.FAULT_DETECTING, HostReason.FENCE_FAILED
    return None


def _offline(status: HostStatus, evidence: Evidence, now: datetime, policy: Policy) -> _Move:
    if _returned(status, evidence, now, policy):
        return HostState.RUNNING, HostReason.ANSWERED
    if _switched_off_on_purpose(evidence, now, policy):
        return HostState.STOPPED, HostReason.MAINTENANCE
    if evidence.power is Power.OFF and _may_act(status, evidence, policy) and _dead(evidence, now, policy):
        return HostState.FAULT_DETECTING, HostReason.POWERED_OFF
    return None


def _stopped(status: HostStatus, evidence: Evidence, now: datetime, policy: Policy) -> _Move:
    return (HostState.RUNNING, HostReason.ANSWERED) if _returned(status, evidence, now, policy) else None


_MOVES: Final = {
    HostState.RUNNING: _running,
    HostState.FAULT_DETECTING: _detecting,
    HostState.HA_DETECTING: _ha,
    HostState.OFFLINE: _offline,
    HostState.STOPPED: _stopped,
}


def _deadline(state: HostState, now: datetime, policy: Policy) -> datetime | None:
    lifetime = {HostState.FAULT_DETECTING: policy.detect_for, HostState.HA_DETECTING: policy.ha_for}.get(state)
    return None if lifetime is None else now + timedelta(seconds=lifetime)


def _overdue(status: HostStatus, now: datetime) -> bool:
    return status.deadline is None or now >= status.deadline


def _returned(status: HostStatus, evidence: Evidence, now: datetime, policy: Policy) -> bool:
    """GOODS fresh samples in a row, all taken after the state began: a sample from before a fencing proves nothing."""
    began, clock = status.since.timestamp(), now.timestamp()
    patience = policy.interval + policy.grace
    return any(
        beat.goods >= GOODS and clock - beat.last_at <= patience and (beat.good_from > began or began > clock)
        for beat in evidence.beats
    )


def _dead(evidence: Evidence, now: datetime, policy: Policy) -> bool:
    """Its controller says off and its ports do not contradict; or the controller cannot say and nothing reacts at all.

    A refused connection is a sign of life where nobody reports the power: the machine's kernel refused it.
    """
    if not lost(evidence, now, policy):
        return False
    if evidence.power is Power.OFF:
        return evidence.probe is not Probe.ACCEPTS
    return evidence.power is Power.UNKNOWN and evidence.probe is Probe.SILENT


def _may_act(status: HostStatus, evidence: Evidence, policy: Policy) -> bool:
    return (
        evidence.blind_for is None
        and not evidence.braked
        and not evidence.maintenance
        and status.fence_failures < policy.fence_attempts
    )


def _switched_off_on_purpose(evidence: Evidence, now: datetime, policy: Policy) -> bool:
    return evidence.maintenance and evidence.power is Power.OFF and lost(evidence, now, policy)
