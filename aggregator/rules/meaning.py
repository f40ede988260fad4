"""One rule of the declared shape, made sense of: fields that exist, limits where they belong, a forecast with its
level."""

from __future__ import annotations

import string
from collections.abc import Iterator

from aggregator.rules import schema
from aggregator.rules.durations import parse
from aggregator.rules.language import (
    Band,
    Change,
    Composite,
    Condition,
    Forecast,
    How,
    Match,
    Measure,
    Measured,
    NoData,
    Op,
    Override,
    Rule,
    RunsOn,
    Scope,
    Shift,
    Stat,
    StateIn,
    Step,
    Threshold,
    TroubleIn,
    leaves,
)
from aggregator.rules.source import Path, Problem, Source
from aggregator.rules.troubles import TROUBLES
from core.alarms.finding import FlapPolicy, Severity
from core.compute.rows import VmState
from core.hosts.rows import HostState
from core.timeseries.fields import COLUMN, Kind

PLACEHOLDERS = ("object", "value", "limit", "unit")
SHORTEST_CHANGE = 120.0
SHORTEST_FORECAST = 600.0


class Reader:
    """Reads one rule; what is wrong gathers in `problems`."""

    def __init__(self, source: Source, path: Path, spec: schema.RuleSpec, scrape_interval: float) -> None:
        self.problems: list[Problem] = []
        self._source = source
        self._path = path
        self._spec = spec
        self._interval = scrape_interval

    def rule(self) -> Rule | None:
        """None when something is wrong."""
        spec = self._spec
        condition = self._condition(spec.when, ("when",), inside=None)
        self._check_messages()
        if condition is None:
            return None
        mains = [leaf for leaf in leaves(condition) if isinstance(leaf, Measured) and leaf.band is None]
        if len(mains) > 1:
            self._wrong(
                ("when",),
                f"{len(mains)} measured conditions take the limits of the rule",
                "one; raise: {op, value} in the others",
            )
        main = mains[0] if mains else None
        if main is not None and main.measure.kind is not spec.kind:
            self._wrong(
                ("when",),
                "a measure of other objects cannot take the limits of the rule",
                "raise: {op, value} beside it",
            )
        steps = tuple(self._steps(main))
        overrides = tuple(self._overrides(main, steps))
        if self.problems:
            return None
        return Rule(
            spec.id, spec.kind, spec.category, condition, steps, spec.message.model_dump(), spec.runbook,
            spec.no_data, spec.relief, spec.limit, spec.labels, overrides,
            FlapPolicy(spec.flapping.begin, spec.flapping.end, self._seconds(spec.flapping.half_life)),
            self._source.file, self._source.line(self._path),
        )  # fmt: skip

    def _wrong(self, at: Path, problem: str, allowed: str) -> None:
        self.problems.append(self._source.problem((*self._path, *at), problem, allowed))

    def _seconds(self, text: str) -> float:
        return parse(text).resolve(self._interval)

    # conditions

    def _condition(self, given: schema.Condition, at: Path, inside: schema.Condition | None) -> Condition | None:
        if given.raise_ is not None and inside is None:
            self._wrong(
                (*at, "raise"), "the limits of the outermost condition are the rule's", "raise inside any or all"
            )
        if given.any_ is not None or given.all_ is not None:
            return self._composite(given, at)
        if given.no_data is not None:
            kind = self._kind(given.no_data.kind, (*at, "no_data"))
            return self._unlimited(given, at, NoData(self._seconds(given.no_data.for_), kind))
        if given.host_state is not None:
            named = {state.name.lower(): int(state) for state in HostState}
            return self._unlimited(given, at, _state(given.host_state, Kind.HOST, named))
        if given.trouble is not None:
            return self._unlimited(given, at, self._trouble(given.trouble, (*at, "trouble", "in")))
        if given.vm_state is not None:
            if self._spec.kind in (Kind.HOST, Kind.TARGET, Kind.PLATFORM):
                self._wrong((*at, "vm_state"), f"a {self._spec.kind} belongs to no VM", "kind vm, disk or nic")
            named = {state.name.lower(): int(state) for state in VmState}
            return self._unlimited(given, at, _state(given.vm_state, Kind.VM, named))
        return self._measured(given, at, inside)

    def _composite(self, given: schema.Condition, at: Path) -> Condition | None:
        how, parts = (How.ANY, given.any_) if given.any_ is not None else (How.ALL, given.all_ or ())
        if given.raise_ is not None:
            self._wrong((*at, "raise"), f"{how} has no limits of its own", "raise beside the measured conditions in it")
        read = [self._condition(part, (*at, str(how), position), given) for position, part in enumerate(parts or ())]
        whole = tuple(part for part in read if part is not None)
        return Composite(how, whole) if len(whole) == len(read) else None

    def _unlimited(self, given: schema.Condition, at: Path, condition: NoData | StateIn | TroubleIn) -> Condition:
        if given.raise_ is not None:
            self._wrong(
                (*at, "raise"), "this condition compares no value", "raise only beside threshold, change and forecast"
            )
        return condition

    def _trouble(self, given: schema.TroubleIn, at: Path) -> TroubleIn:
        allowed = TROUBLES.get(self._spec.kind, ())
        for trouble in given.in_:
            if trouble not in allowed:
                said = ", ".join(allowed) or f"rules of kind {' or '.join(TROUBLES)}"
                self._wrong(at, f"{trouble} does not befall a {self._spec.kind}", said)
        return TroubleIn(frozenset(given.in_))

    def _kind(self, given: str | None, at: Path) -> Kind:
        if given is not None and self._spec.kind is Kind.TARGET:
            self._wrong((*at, "kind"), "the rule watches targets already", "no kind here")
        return Kind.TARGET if given is not None else self._spec.kind

    def _measured(self, given: schema.Condition, at: Path, inside: schema.Condition | None) -> Condition | None:
        if given.threshold is not None:
            measure = self._measure(given.threshold, (*at, "threshold"))
            band = self._band(given, at)
            return (
                None
                if measure is None
                else Threshold(measure, band, RunsOn(given.threshold.runs_on), Stat(given.threshold.stat))
            )
        if given.change is not None:
            measure = self._measure(given.change, (*at, "change"))
            window = self._window(given.change.window, SHORTEST_CHANGE, (*at, "change", "window"))
            return None if measure is None else Change(measure, window, given.change.relative, self._band(given, at))
        if given.forecast is None:
            raise AssertionError("BUG: a condition that the schema accepts and nobody reads")
        return self._forecast(given, given.forecast, at, inside)

    def _forecast(
        self, given: schema.Condition, forecast: schema.Forecast, at: Path, inside: schema.Condition | None
    ) -> Condition | None:
        if inside is None or not any(part.threshold is not None for part in inside.all_ or ()):
            self._wrong(
                (*at, "forecast"),
                "a forecast alone raises false alarms",
                "all: [forecast, threshold], with the level above which it counts",
            )
        reaches = forecast.reaches
        if isinstance(reaches, str):
            self._field(reaches, self._spec.kind, (*at, "forecast", "reaches"))
        measure = self._measure(forecast, (*at, "forecast"))
        window = self._window(forecast.window, SHORTEST_FORECAST, (*at, "forecast", "window"))
        return None if measure is None else Forecast(measure, reaches, window, self._band(given, at, durations=True))

    def _window(self, text: str, least: float, at: Path) -> float:
        seconds = self._seconds(text)
        if seconds < least:
            self._wrong(at, f"{text} is too short: it is measured on minute lines", f"at least {least / 60:g}m")
        return seconds

    def _measure(self, given: schema.Measure, at: Path) -> Measure | None:
        kind = self._kind(given.kind, at)
        fields = tuple(name.strip() for name in given.field.split("+"))
        known = [self._field(name, kind, (*at, "field")) for name in fields]
        if given.percent_of is not None:
            known.append(self._field(given.percent_of, kind, (*at, "percent_of")))
        return Measure(kind, fields, given.percent_of, Match(given.match)) if all(known) else None

    def _field(self, name: str, kind: Kind, at: Path) -> bool:
        if name not in COLUMN[kind]:
            self._wrong(at, f"{kind} has no field {name!r}", ", ".join(COLUMN[kind]))
        return name in COLUMN[kind]

    # limits

    def _limit(self, value: float | str, at: Path, *, durations: bool) -> float:
        if durations and not isinstance(value, str):
            self._wrong(at, f"{value:g} has no unit", "a duration, as in 24h")
        if not durations and isinstance(value, str):
            self._wrong(at, f"{value} is a duration", "a number, in the unit of the field")
        return self._seconds(value) if isinstance(value, str) else value

    def _band(self, given: schema.Condition, at: Path, *, durations: bool = False) -> Band | None:
        if given.raise_ is None:
            return None
        raise_at = self._limit(given.raise_.value, (*at, "raise", "value"), durations=durations)
        clear_at = raise_at
        if given.clear is not None:
            clear_at = self._limit(given.clear.value, (*at, "clear", "value"), durations=durations)
        return self._sided(Band(Op(given.raise_.op), raise_at, clear_at), (*at, "clear", "value"))

    def _sided(self, band: Band, at: Path) -> Band:
        if band.wrong_side:
            side = "at most" if band.op.rises else "at least" if band.op.falls else "exactly"
            self._wrong(
                at,
                f"{band.clear_at:g} is on the wrong side of raise {band.op} {band.raise_at:g}",
                f"{side} {band.raise_at:g}",
            )
        return band

    def _steps(self, main: Measured | None) -> Iterator[Step]:
        spec = self._spec
        given: list[tuple[Path, schema.RungSpec]]
        if spec.levels is not None:
            given = [(("levels", position), rung) for position, rung in enumerate(spec.levels)]
        else:
            given = [((), schema.RungSpec.model_validate(_single(spec)))]
        last: Step | None = None
        for at, rung in given:
            step = Step(
                Severity[rung.severity.upper()], self._rung_band(rung, at, main),
                self._seconds(rung.raise_.for_), self._seconds(rung.clear.for_),
            )  # fmt: skip
            if last is not None:
                self._check_order(last, step, at)
            last = step
            yield step

    def _rung_band(self, rung: schema.RungSpec, at: Path, main: Measured | None) -> Band | None:
        if main is None:
            if rung.raise_.value is not None or rung.clear.value is not None:
                self._wrong((*at, "raise"), "no condition takes these limits", "only for")
            return None
        if rung.raise_.op is None or rung.raise_.value is None:
            self._wrong((*at, "raise"), "op and value are missing", "raise: {op, value, for}")
            return None
        durations = isinstance(main, Forecast)
        raise_at = self._limit(rung.raise_.value, (*at, "raise", "value"), durations=durations)
        clear_at = raise_at
        if rung.clear.value is not None:
            clear_at = self._limit(rung.clear.value, (*at, "clear", "value"), durations=durations)
        return self._sided(Band(Op(rung.raise_.op), raise_at, clear_at), (*at, "clear", "value"))

    def _check_order(self, lower: Step, upper: Step, at: Path) -> None:
        if upper.severity <= lower.severity:
            self._wrong(
                (*at, "severity"),
                f"{upper.severity.name.lower()} does not rise",
                f"above {lower.severity.name.lower()}",
            )
        if lower.band and upper.band and lower.band.op is not upper.band.op:
            self._wrong((*at, "raise", "op"), f"{upper.band.op} differs from the level below", str(lower.band.op))

    # overrides and texts

    def _overrides(self, main: Measured | None, steps: tuple[Step, ...]) -> Iterator[Override]:
        bands = {step.severity: step.band for step in steps}
        for position, given in enumerate(self._spec.overrides):
            at: Path = ("overrides", position)
            shifts = {}
            for word, level in given.levels.items():
                band = bands.get(Severity[word.upper()])
                if band is None:
                    allowed = ", ".join(s.name.lower() for s, b in bands.items() if b) or "only disabled: true"
                    self._wrong((*at, "levels", word), "the rule has no limit of this level", allowed)
                    continue
                shifts[Severity[word.upper()]] = self._shift(
                    level, band, (*at, "levels", word), isinstance(main, Forecast)
                )
            yield Override(*_matched(given.match), given.disabled, shifts)

    def _shift(self, level: schema.OverrideLevel, band: Band, at: Path, durations: bool) -> Shift:  # noqa: FBT001 - private
        limits = [
            None if value is None else self._limit(value, (*at, name), durations=durations)
            for name, value in (("raise", level.raise_), ("clear", level.clear))
        ]
        shift = Shift(*limits)
        self._sided(shift.apply(band), (*at, "clear"))
        return shift

    def _check_messages(self) -> None:
        for language, text in self._spec.message.model_dump().items():
            try:
                used = {name for _, name, form, _ in string.Formatter().parse(text) if name is not None or form}
            except ValueError as error:
                self._wrong(("message", language), f"braces: {error}", "{object}, {value}, {limit}, {unit}")
                continue
            for name in used - set(PLACEHOLDERS):
                self._wrong(("message", language), f"{{{name}}} is unknown", "{object}, {value}, {limit}, {unit}")


def _single(spec: schema.RuleSpec) -> dict[str, object]:
    """The one level of a rule that has no list of them."""
    given = {"severity": spec.severity, "raise": spec.raise_, "clear": spec.clear}
    return {name: value for name, value in given.items() if value is not None}


def _state(given: schema.HostStateIn | schema.VmStateIn, owner: Kind, codes: dict[str, int]) -> StateIn:
    raised = frozenset(codes[word] for word in given.in_)
    cleared = frozenset(codes.values()) - raised
    if given.clear_in is not None:
        cleared = frozenset(codes[word] for word in given.clear_in) - raised
    return StateIn(owner, raised, cleared)


def _matched(match: schema.Match) -> tuple[Scope, str | tuple[tuple[str, str], ...]]:
    if match.label is not None:
        return Scope.LABEL, tuple(sorted(match.label.items()))
    for scope, key in ((Scope.TENANT, match.tenant), (Scope.HOST, match.host), (Scope.VM, match.vm)):
        if key is not None:
            return scope, key
    raise AssertionError("BUG: an override that the schema accepts and that matches nobody")
