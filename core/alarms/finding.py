"""The seam between rules and alarms: what a rule demands of an alarm, and what one evaluation found.

Rules (`aggregator.rules`) are evaluated into findings; the alarm machine (`core.alarms.machine`) turns findings and
time into transitions. A rule has one rung per severity it can reach, lowest first; one alarm per rule and object climbs
and descends them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
class FlapPolicy:
    """Every raise and every relief adds 1 to a score that halves in `half_life` seconds: at `hi` the alarm is
    flapping and is held open, under `lo` it is steady again.
    """

    hi: float = 6.0
    lo: float = 2.0
    half_life: float = 600.0


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
    flap: FlapPolicy = field(default_factory=FlapPolicy)
    limit: int = 1000
    """Open alarms of this rule, from which no new ones are made. None is ever erased by it."""


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


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What an alarm remembers of its object. `tenant_id` is the VM's tenant, for its disks and NICs too, None for
    the platform's objects; `host_id` is the host that it runs on, for a host its own id; `vm_id` is the VM, for its
    disks and NICs too. `in_service` False (a host in maintenance, and what runs on it): nothing new is raised; what
    is open may clear.
    """

    name: str
    tenant_id: str | None = None
    host_id: str | None = None
    vm_id: str | None = None
    in_service: bool = True


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One rule's evaluation at one moment.

    `facts` names every object that the rule covers now: an object that has an open alarm and is no longer among them
    is gone, and its alarm is closed. `findings` may leave out what is healthy and has no state: a finding is due for
    each RAISE and for each of `core.alarms.engine.open_keys`; what has a state and no finding counts as FAILED:
    nothing changes.
    """

    policy: AlarmPolicy
    findings: Sequence[Finding]
    facts: Mapping[str, ObjectFacts]
