"""Who is not told of an alarm now, and why. Pure: it decides about notifications, never about detection or relief.

One hop is enough: a VM's alarm waits for its host, a host's alarm waits for nobody but the people who maintain it.
What has been suppressed is told afterwards if it is still true then (`core.alarms.announce`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from core.alarms.windows import Subject, Window
from core.hosts.rows import HostState


@dataclass(frozen=True, slots=True)
class HostCondition:
    state: HostState
    maintenance: bool


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is out of the ordinary now: hosts that do not simply run, and the maintenance windows there are."""

    hosts: Mapping[str, HostCondition]
    windows: Sequence[Window]


def suppressed_by(subject: Subject, shelved_until: datetime | None, around: Circumstances, now: datetime) -> str | None:
    """The first reason that applies, as it is recorded on the alarm; None: tell."""
    if shelved_until is not None and now < shelved_until:
        return "shelved"
    host = None if subject.host_id is None else around.hosts.get(subject.host_id)
    if host is not None and host.maintenance:
        return f"maintenance:{subject.host_id}"
    if host is not None and subject.vm_id is not None and host.state is not HostState.RUNNING:
        return f"host:{subject.host_id}:{host.state.name.lower()}"
    return next((f"window:{window.id}" for window in around.windows if window.covers(subject, now)), None)
