"""Values and reasons for people: the alarm's content in Chinese and English, and why a verdict is what it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from aggregator.rules import durations
from aggregator.rules.language import Change, Composite, Condition, Forecast, NoData, Rule, StateIn, Step, TroubleIn
from core.alarms.finding import Verdict
from core.compute.rows import VmState
from core.hosts.rows import HostState
from core.timeseries.fields import Kind, Unit

_UNITS: Final[Mapping[Unit, str]] = {
    Unit.PERCENT: "%",
    Unit.COUNT: "",
    Unit.MEGABYTES: "MB",
    Unit.KILOBYTES: "KB",
    Unit.KILOBYTES_PER_SECOND: "KB/s",
    Unit.PER_SECOND: "/s",
    Unit.SECONDS: "s",
    Unit.BOOLEAN: "",
}


class Wording:
    """The words for one rule, made once for many objects."""

    def __init__(self, rule: Rule) -> None:
        self.unit = _unit_of(rule)
        self._rule = rule
        self._condition = describe(rule.condition)
        self._spell = length if isinstance(rule.main, Forecast) else number

    def value(self, value: float) -> str:
        """Without its unit; a forecast as a length of time; empty when there is none."""
        return "" if math.isnan(value) else self._spell(value)

    def content(self, name: str, value: float, limit: float) -> dict[str, str]:
        """The alarm's text by language. Braces in an object's name are not read again."""
        filled = {"object": name, "value": self.value(value), "limit": self.value(limit), "unit": self.unit}
        return {language: template.format_map(filled) for language, template in self._rule.message.items()}

    def reason(self, step: Step, verdict: Verdict, value: float, raise_at: float, clear_at: float) -> str:
        """Why this verdict: what was measured, and what it was compared with."""
        if verdict is Verdict.FAILED:
            return "the time-series store did not answer"
        if verdict is Verdict.NO_DATA:
            return f"no data for {self._condition}"
        if step.band is None or math.isnan(value):
            return f"{self._condition}: {'yes' if verdict is Verdict.RAISE else 'no'}"
        shown, op = f"{self._condition} is {self.value(value)}{self.unit}", step.band.op
        if verdict is Verdict.RAISE:
            return f"{shown}: {op} {self.value(raise_at)}{self.unit}"
        if verdict is Verdict.CLEAR:
            return f"{shown}: not {op} {self.value(clear_at)}{self.unit}"
        return f"{shown}: between clear {self.value(clear_at)}{self.unit} and raise {self.value(raise_at)}{self.unit}"


def _unit_of(rule: Rule) -> str:
    main = rule.main
    if main is None or isinstance(main, Forecast):
        return ""
    if isinstance(main, Change) and main.relative:
        return "%"
    return _UNITS[main.measure.unit]


def number(value: float) -> str:
    """At most one decimal, and none for large numbers: an alarm is no laboratory."""
    if abs(value) < 10 and value != round(value, 1):
        return f"{value:.2g}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}".removesuffix(".0")


def length(seconds: float) -> str:
    """To the larger two units: `2h 5m`."""
    if math.isinf(seconds):
        return "never"
    whole = round(seconds)
    for unit, name, smaller, small_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= unit:
            rest = whole % unit // smaller
            return f"{whole // unit}{name} {rest}{small_name}" if rest else f"{whole // unit}{name}"
    return f"{whole}s"


def describe(condition: Condition) -> str:
    """The condition in a few words."""
    if isinstance(condition, Composite):
        return f" {'or' if condition.how == 'any' else 'and'} ".join(_inside(part) for part in condition.parts)
    if isinstance(condition, NoData):
        source = "its targets" if condition.kind is Kind.TARGET else "it"
        return f"no sample of {source} for {durations.spell(condition.seconds)}"
    if isinstance(condition, StateIn):
        names = sorted(_state_name(condition.owner, code) for code in condition.raised)
        return f"{condition.owner} state in ({', '.join(names)})"
    if isinstance(condition, TroubleIn):
        return f"trouble in ({', '.join(sorted(condition.which))})"
    if isinstance(condition, Forecast):
        text = f"time until {condition.measure} reaches {condition.reaches}"
    elif isinstance(condition, Change):
        text = f"change of {condition.measure} in {durations.spell(condition.window)}"
    else:
        text = str(condition.measure)
    return f"{text} {condition.band.op} {condition.band.raise_at:g}" if condition.band else text


def _inside(part: Condition) -> str:
    return f"({describe(part)})" if isinstance(part, Composite) else describe(part)


def _state_name(owner: Kind, code: int) -> str:
    return (HostState(code) if owner is Kind.HOST else VmState(code)).name.lower()
