"""From samples to evidence: heartbeats folded out of the store, and what all hosts together say about ourselves.

A sample counts once, however often it is read; a host that was never scraped has its silence counted from the moment
the watch began, so that a start of ours is nobody's death.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Final

from core.drivers.power import Power
from core.hosts.events import Note
from core.hosts.rows import HostReason, HostState, Origin
from core.hosts.state import Beat, Evidence, HostStatus, Policy, heard, lost
from core.hosts.watched import Watched
from core.timeseries.fields import COLUMN, Kind
from core.timeseries.store import Frame

_UP: Final = COLUMN[Kind.TARGET]["up"]
_WATCHED: Final = (HostState.RUNNING, HostState.FAULT_DETECTING, HostState.HA_DETECTING)
_SMALLEST_BRAKE: Final = 2
_AHEAD: Final = 60.0
"""Seconds by which clocks of collectors may be ahead of ours."""


class Pulse:
    """The heartbeats of all targets, in memory. One thread at a time."""

    def __init__(self) -> None:
        self._beats: dict[str, Beat] = {}

    def watch(self, hosts: Collection[Watched], now: datetime) -> None:
        """Begin with new targets, and forget those that are gone."""
        names = {name for host in hosts for name in host.targets}
        self._beats = {name: beat for name, beat in self._beats.items() if name in names}
        for name in names - self._beats.keys():
            self._beats[name] = Beat(name.rpartition("/")[2], last_at=now.timestamp())

    def hear(self, samples: Frame, now: datetime) -> None:
        """Fold the newest samples of the targets in. Unknown targets are passed over, and so are samples from the
        future: after a clock was set back they would hide what comes now."""
        latest = now.timestamp() + _AHEAD
        ups = samples.values[:, _UP].tolist()
        for name, at, up in zip(samples.objects, samples.times.tolist(), ups, strict=True):
            beat = self._beats.get(name)
            if beat is not None and not math.isnan(up) and at <= latest:
                self._beats[name] = fold(beat, at, up=up > 0)

    def restart(self, now: datetime) -> None:
        """Our own absence or a jump of the clock: every silence begins anew."""
        self._beats = {name: Beat(beat.source, last_at=now.timestamp()) for name, beat in self._beats.items()}

    def of(self, host: Watched) -> tuple[Beat, ...]:
        return tuple(self._beats[name] for name in host.targets)


def fold(beat: Beat, at: float, *, up: bool) -> Beat:
    """`beat` after one more sample. One that is not newer changes nothing; only the first may be older than the
    watch."""
    known = beat.misses + beat.goods > 0
    if known and at <= beat.last_at:
        return beat
    last_at = max(at, beat.last_at)
    if not up:
        return replace(beat, last_at=last_at, misses=beat.misses + 1, goods=0, good_from=0.0)
    return replace(
        beat, last_at=last_at, misses=0, goods=beat.goods + 1, good_from=beat.good_from if beat.goods else at
    )


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is remembered about all hosts together: since when we see nobody, since when somebody again, and the
    brake."""

    blind_since: datetime | None = None
    sight_since: datetime | None = None
    braked: bool = False
    calm_since: datetime | None = None

    def blind_for(self, now: datetime) -> float | None:
        """Seconds of blindness; None while we see. The time in which sight returns is not counted."""
        return None if self.blind_since is None else ((self.sight_since or now) - self.blind_since).total_seconds()


@dataclass(frozen=True, slots=True)
class Survey:
    """`watched`: hosts that ought to answer; `suspects`: those of them that do not; `seen`: hosts that answer, all
    counted."""

    hosts: int
    watched: int
    suspects: int
    seen: int


def survey(hosts: Iterable[tuple[Watched, Evidence]], now: datetime, policy: Policy) -> Survey:
    """This machine itself is left out: that we see ourselves says nothing about our link."""
    total = watched = suspects = seen = 0
    for host, evidence in hosts:
        if host.origin is Origin.LOCAL:
            continue
        total += 1
        answers = heard(evidence, now, policy)
        seen += answers
        if not evidence.maintenance and _ought_to_answer(host.status, evidence, policy):
            watched += 1
            suspects += not answers and lost(evidence, now, policy)
    return Survey(total, watched, suspects, seen)


def judge_fleet(fleet: Fleet, counted: Survey, now: datetime, policy: Policy) -> tuple[Fleet, list[Note]]:
    """The next memory, and what is worth remembering."""
    sighted = _sight(fleet, counted, now, policy)
    limit = max(_SMALLEST_BRAKE, min(policy.brake_count, math.floor(policy.brake_ratio * counted.watched)))
    after = _brake(sighted, sighted.blind_since is None and counted.suspects > limit, now, policy)
    known = {key: str(value) for key, value in asdict(counted).items()} | {"limit": str(limit)}
    notes = []
    if (blind := after.blind_since is not None) != (fleet.blind_since is not None):
        notes.append(Note(HostReason.OWN_LINK_LOST if blind else HostReason.OWN_LINK_BACK, blind, known))
    if after.braked != fleet.braked:
        notes.append(Note(HostReason.BRAKE_ENGAGED if after.braked else HostReason.BRAKE_RELEASED, after.braked, known))
    return after, notes


def _sight(fleet: Fleet, counted: Survey, now: datetime, policy: Policy) -> Fleet:
    """One host alone cannot tell its own death from our blindness, so it takes two to be blind. Who sees the first
    again sees the others later: blindness ends when every host has had the time to be heard."""
    if counted.seen == 0 and counted.hosts and (counted.watched > 1 or fleet.blind_since is not None):
        return replace(fleet, blind_since=fleet.blind_since or now, sight_since=None)
    if fleet.blind_since is None:
        return fleet
    since = fleet.sight_since or now
    if (now - since).total_seconds() >= policy.interval + policy.grace:
        return replace(fleet, blind_since=None, sight_since=None)
    return replace(fleet, sight_since=since)


def _brake(fleet: Fleet, over: bool, now: datetime, policy: Policy) -> Fleet:  # noqa: FBT001 - the finding, not a mode
    """Engaged at once; it lets go when there was calm for as long as a fault is looked for."""
    if over:
        return replace(fleet, braked=True, calm_since=None)
    if not fleet.braked:
        return fleet
    since = fleet.calm_since or now
    if (now - since).total_seconds() >= policy.detect_for:
        return replace(fleet, braked=False, calm_since=None)
    return replace(fleet, calm_since=since)


def _ought_to_answer(status: HostStatus, evidence: Evidence, policy: Policy) -> bool:
    """An offline host that turns out to be off is about to be acted upon, so it counts."""
    found_off = evidence.power is Power.OFF and status.fence_failures < policy.fence_attempts
    return status.state in _WATCHED or (status.state is HostState.OFFLINE and found_off)
