"""The seam between rules and alarms: what a rule demands of an alarm, and what one evaluation found.

Rules (`aggregator.rules`) are evaluated into findings; the alarm machine (`core.alarms.machine`) turns findings and
time into transitions. A rule has one rung per severity it can reach, lowest first; one alarm per rule and object climbs
and descends them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from core.timeseries.fields import Kind


class Severity(IntEnum):
    LOW = 1
    MEDIUM = 2
    HIGH = 3


class Verdict(StrEnum):
    """Three-valued and a band: absence and failure are never mistaken for health."""

    RAISE = "raise"
    HOLD = "hold"
    """Between the raise and the clear condition: neither starts nor ends anything."""
    CLEAR = "clear"
    NO_DATA = "no_data"
    FAILED = "failed"
    """The evaluation itself failed (store down, query refused): changes nothing at all."""


class NoDataPolicy(StrEnum):
    KEEP = "keep"
    RAISE = "raise"
    CLEAR = "clear"


class Relief(StrEnum):
    """AUTO: the alarm is relieved when its clear condition held. MANUAL: it is latched until a person relieves it."""

    AUTO = "auto"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Rung:
    """`raise_for` and `clear_for` in seconds: how long the condition must hold."""

    severity: Severity
    raise_for: float = 0.0
    clear_for: float = 0.0


@dataclass(frozen=True, slots=True)
class AlarmPolicy:
    """`rule_id` is stable across edits of thresholds; `category` is shown as the alarm's type; texts by language (zh,
    en)."""

    rule_id: str
    kind: Kind
    category: str
    rungs: tuple[Rung, ...]
    no_data: NoDataPolicy = NoDataPolicy.KEEP
    relief: Relief = Relief.AUTO
    labels: Mapping[str, str] = field(default_factory=dict)
    interval: float = 10.0
    """Seconds between two evaluations: a gap of more than two of them is downtime, and downtime is not evidence."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One evaluation of one rule on one object. `verdicts` stands in the order of the policy's rungs."""

    object_id: str
    verdicts: tuple[Verdict, ...]
    value: float | None = None
    reason: str = ""
    """Why, for people and for `explain`: the value, the limit, the series it came from."""
    content: Mapping[str, str] = field(default_factory=dict)
    """The alarm's text by language (zh, en), rendered from the rule's template."""
