"""What a rule says, read and checked: frozen, every duration in seconds, every limit a number.

A rule's condition is a tree; its leaves compare something with limits. The limits of one leaf, the *main* one, come
from the rule's levels (and the overrides change them); every other measured leaf brings its own. `load` reads files
into this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from aggregator.rules.troubles import Trouble
from core.alarms.finding import AlarmPolicy, FlapPolicy, NoDataPolicy, Relief, Rung, Severity
from core.timeseries.fields import COLUMN, FIELDS, Kind, Unit


class Op(StrEnum):
    GT = ">"
    GE = ">="
    LT = "<"
    LE = "<="
    EQ = "=="
    NE = "!="

    @property
    def rises(self) -> bool:
        """More of it is worse."""
        return self in (Op.GT, Op.GE)

    @property
    def falls(self) -> bool:
        return self in (Op.LT, Op.LE)


class RunsOn(StrEnum):
    FRESH = "fresh"
    PARTIAL = "partial"
    FINAL = "final"


class Stat(StrEnum):
    MEAN = "mean"
    MIN = "min"
    MAX = "max"


class Match(StrEnum):
    """How several targets of one host make one verdict."""

    ANY = "any"
    EVERY = "every"


@dataclass(frozen=True, slots=True)
class Band:
    """RAISE when `value op raise_at`; CLEAR when not `value op clear_at`; between them HOLD (hysteresis)."""

    op: Op
    raise_at: float
    clear_at: float

    @property
    def wrong_side(self) -> bool:
        """A value could raise and clear at once."""
        if self.op.rises:
            return self.clear_at > self.raise_at
        if self.op.falls:
            return self.clear_at < self.raise_at
        return self.clear_at != self.raise_at


@dataclass(frozen=True, slots=True)
class Measure:
    """The sum of `fields`, or 100 times it by `percent_of`. `kind` is the rule's, or TARGET: the targets of the
    object's host."""

    kind: Kind
    fields: tuple[str, ...]
    percent_of: str | None = None
    match: Match = Match.EVERY

    @property
    def unit(self) -> Unit:
        return Unit.PERCENT if self.percent_of else FIELDS[self.kind][COLUMN[self.kind][self.fields[0]]].unit

    def __str__(self) -> str:
        total = " + ".join(self.fields)
        text = f"{total} of {self.percent_of}" if self.percent_of else total
        return f"{self.match} target's {text}" if self.kind is Kind.TARGET else text


@dataclass(frozen=True, slots=True)
class Threshold:
    measure: Measure
    band: Band | None = None
    runs_on: RunsOn = RunsOn.FRESH
    stat: Stat = Stat.MEAN


@dataclass(frozen=True, slots=True)
class Change:
    """The newest value minus the mean of the minute `window` seconds ago; `relative`: in percent of that mean."""

    measure: Measure
    window: float
    relative: bool = False
    band: Band | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """Seconds until the straight line through the last `window` seconds, and the one through their newest half, are at
    `reaches` (a field or a number); infinite for never."""

    measure: Measure
    reaches: str | float
    window: float
    band: Band | None = None


@dataclass(frozen=True, slots=True)
class NoData:
    """An expected object without a sample for `seconds`, while somebody was there to see it."""

    seconds: float
    kind: Kind


@dataclass(frozen=True, slots=True)
class StateIn:
    """The state (appendices 1 and 3) of the object's host (`owner` HOST) or VM. In neither set: HOLD."""

    owner: Kind
    raised: frozenset[int]
    cleared: frozenset[int]


@dataclass(frozen=True, slots=True)
class TroubleIn:
    """One of these troubles concerns the object. Never FAILED, and no state excuses from it."""

    which: frozenset[Trouble]


class How(StrEnum):
    ANY = "any"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Composite:
    how: How
    parts: tuple[Condition, ...]


Measured = Threshold | Change | Forecast
Leaf = Measured | NoData | StateIn | TroubleIn
Condition = Leaf | Composite


def leaves(condition: Condition) -> Iterator[Leaf]:
    if isinstance(condition, Composite):
        for part in condition.parts:
            yield from leaves(part)
    else:
        yield condition


@dataclass(frozen=True, slots=True)
class Step:
    """One rung of the ladder. `band` None: the condition has no main leaf, the rung differs by its durations only."""

    severity: Severity
    band: Band | None = None
    raise_for: float = 0.0
    clear_for: float = 0.0


class Scope(StrEnum):
    """Whom an override is for, the widest first: a more exact one wins."""

    TENANT = "tenant"
    LABEL = "label"
    HOST = "host"
    VM = "vm"


@dataclass(frozen=True, slots=True)
class Shift:
    """New limits of one rung; `clear_at` None: as far from the new raise limit as the rule's own is from its."""

    raise_at: float | None = None
    clear_at: float | None = None

    def apply(self, band: Band) -> Band:
        raise_at = band.raise_at if self.raise_at is None else self.raise_at
        clear_at = raise_at + (band.clear_at - band.raise_at) if self.clear_at is None else self.clear_at
        return Band(band.op, raise_at, clear_at)


@dataclass(frozen=True, slots=True)
class Override:
    """`key` is an id, or for LABEL the labels that must all agree."""

    scope: Scope
    key: str | tuple[tuple[str, str], ...]
    disabled: bool = False
    shifts: Mapping[Severity, Shift] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """`steps` lowest severity first. `message` by language (zh, en), with {object}, {value}, {limit}, {unit}."""

    id: str
    kind: Kind
    category: str
    condition: Condition
    steps: tuple[Step, ...]
    message: Mapping[str, str]
    runbook: str
    no_data: NoDataPolicy = NoDataPolicy.KEEP
    relief: Relief = Relief.AUTO
    limit: int = 1000
    labels: Mapping[str, str] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    flap: FlapPolicy = field(default_factory=FlapPolicy)
    source: str = ""
    line: int = 1

    @property
    def main(self) -> Measured | None:
        """The leaf whose limits are the steps'."""
        measured = (leaf for leaf in leaves(self.condition) if isinstance(leaf, Measured))
        return next((leaf for leaf in measured if leaf.band is None), None)

    def policy(self, interval: float) -> AlarmPolicy:
        """What the alarm machine must know, when the rules run every `interval` seconds."""
        rungs = tuple(Rung(step.severity, step.raise_for, step.clear_for) for step in self.steps)
        return AlarmPolicy(
            self.id, self.kind, self.category, rungs, self.no_data, self.relief, self.labels, interval, self.flap,
            self.limit,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All rules in force, ids unique, and the scrape interval (seconds) they were resolved for."""

    rules: tuple[Rule, ...]
    scrape_interval: float

    def rule(self, rule_id: str) -> Rule | None:
        return next((rule for rule in self.rules if rule.id == rule_id), None)
