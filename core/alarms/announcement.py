"""What receivers are told: the difference between what they know and what is true. Pure.

A rise, a relief, a catch-up after a maintenance window and a relief by hand all come out of the same comparison, so
none can be told twice and none forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.alarms.finding import Severity
from core.alarms.machine import Change
from core.timeseries.fields import Kind


@dataclass(frozen=True, slots=True)
class Known:
    """An alarm as somebody knows it. `severity` None: he knows of none that is open."""

    severity: Severity | None = None
    flapping: bool = False
    latched: bool = False


def difference(told: Known, true: Known) -> Change | None:
    """The one thing to tell somebody who knows `told`; None: nothing."""
    if told == true:
        return None
    if true.severity is None:
        return Change.RELIEVED
    if true.flapping and not told.flapping:
        return Change.FLAPPING
    if told.severity is None:
        return Change.RAISED
    if true.severity != told.severity:
        return Change.ROSE if true.severity > told.severity else Change.FELL
    if true.latched != told.latched:
        return Change.RETURNED if true.latched else Change.RECURRED
    return Change.STEADY


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """One message about one alarm. `number` counts the alarm's announcements from 1; `severity_before` is what was
    told last, None in the first. At a relief `severity` is the last that was true, `relieved_at` and `relieve_way`
    are set.

    `content` by language (zh, en).
    """

    alarm_id: str
    number: int
    change: Change
    at: datetime
    severity: Severity
    severity_before: Severity | None
    rule_id: str
    category: str
    labels: Mapping[str, str]
    object_kind: Kind
    object_id: str
    object_name: str
    tenant_id: str | None
    host_id: str | None
    vm_id: str | None
    content: Mapping[str, str]
    created_at: datetime
    relieved_at: datetime | None = None
    relieve_way: str | None = None
    flapping: bool = False
    acknowledged: bool = False
    note: str = ""

    def payload(self) -> dict[str, Any]:
        """JSON values: severity as its word, times as ISO 8601 in UTC."""
        return {name: _plain(getattr(self, name)) for name in self.__slots__}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Announcement:
        """The announcement whose payload this is."""
        relieved_at, before = payload["relieved_at"], payload["severity_before"]
        changed = {
            "change": Change(payload["change"]),
            "object_kind": Kind(payload["object_kind"]),
            "severity": Severity[payload["severity"].upper()],
            "severity_before": None if before is None else Severity[before.upper()],
            "at": datetime.fromisoformat(payload["at"]),
            "created_at": datetime.fromisoformat(payload["created_at"]),
            "relieved_at": None if relieved_at is None else datetime.fromisoformat(relieved_at),
        }
        return cls(**{**payload, **changed})


Routing = Callable[[Announcement], Sequence[str]]
"""The names of the receivers of an announcement."""


def nobody(_: Announcement) -> Sequence[str]:
    """The routing of an installation without receivers."""
    return ()


def _plain(value: object) -> object:
    match value:
        case Severity():
            return value.name.lower()
        case datetime():
            return value.isoformat()
        case Mapping():
            return dict(value)
        case _:
            return value
