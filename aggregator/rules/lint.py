"""What is allowed and still not what anybody wants: rules that never fire, rungs that are never reached, alarms that
flap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from aggregator.rules import durations
from aggregator.rules.language import Band, Change, Forecast, Measured, NoData, Op, Rule, RuleBook, Step, leaves
from aggregator.rules.source import Problem
from core.alarms.finding import NoDataPolicy, Relief
from core.timeseries.fields import Unit

_LARGEST: Final = {Unit.PERCENT: 100.0, Unit.BOOLEAN: 1.0}


def lint(book: RuleBook) -> Sequence[Problem]:
    """Every advice on every rule, for the book's scrape interval."""
    advice = [problem for rule in book.rules for check in _CHECKS for problem in check(rule, book.scrape_interval)]
    return [*advice, *_doubled(book)]


def _advise(rule: Rule, field: str, problem: str, better: str) -> Problem:
    return Problem(rule.source, rule.line, rule.id, field, problem, better)


def _too_short(rule: Rule, interval: float) -> Iterator[Problem]:
    """Less than a scrape is no time: the same sample would be looked at twice."""
    for step in rule.steps:
        for name, seconds in (("raise.for", step.raise_for), ("clear.for", step.clear_for)):
            if 0 < seconds < interval:
                said = f"{durations.spell(seconds)} is shorter than a scrape ({durations.spell(interval)})"
                yield _advise(rule, f"{_level(step)}.{name}", said, "at least 1 scrapes, or 0s")
    for leaf in leaves(rule.condition):
        if isinstance(leaf, NoData) and leaf.seconds < 2 * interval:
            said = f"{durations.spell(leaf.seconds)} without a sample is normal between scrapes"
            yield _advise(rule, "no_data.for", said, "at least 2 scrapes")


def _never(rule: Rule, _interval: float) -> Iterator[Problem]:
    """Limits that no value of the field can pass."""
    for leaf in leaves(rule.condition):
        if not isinstance(leaf, Measured):
            continue
        for field, band in _bands(rule, leaf):
            if _impossible(leaf, band):
                yield _advise(
                    rule, field, f"{leaf.measure} is never {band.op} {band.raise_at:g}", "a limit that can be passed"
                )


def _impossible(leaf: Measured, band: Band) -> bool:
    if isinstance(leaf, Forecast):
        return band.op is Op.LT and band.raise_at <= 0
    low, high = 0.0, _LARGEST.get(leaf.measure.unit)
    if isinstance(leaf, Change):
        if leaf.relative:
            low, high = -100.0, None
        else:
            low = -high if high is not None else float("-inf")
    limit = band.raise_at
    match band.op:
        case Op.GT:
            return high is not None and limit >= high
        case Op.GE:
            return high is not None and limit > high
        case Op.LT:
            return limit <= low
        case Op.LE:
            return limit < low
        case Op.EQ:
            return limit < low or (high is not None and limit > high)
    return False


def _unreachable(rule: Rule, _interval: float) -> Iterator[Problem]:
    """A rung whose condition holds whenever the one below it holds, and no later: the lower one is never seen."""
    for lower, upper in zip(rule.steps, rule.steps[1:], strict=False):
        no_harder = lower.band is None or upper.band is None or not _harder(upper.band, lower.band)
        if no_harder and upper.raise_for <= lower.raise_for:
            said = f"raises whenever {_level(lower)} does, and no later"
            yield _advise(rule, f"{_level(upper)}.raise", said, "a harder limit or a longer for than the level below")


def _harder(upper: Band, lower: Band) -> bool:
    return upper.raise_at > lower.raise_at if upper.op.rises else upper.raise_at < lower.raise_at


def _flaps(rule: Rule, _interval: float) -> Iterator[Problem]:
    """One limit, no time: every crossing is an alarm."""
    if rule.relief is Relief.MANUAL or rule.main is None:
        return
    for step in rule.steps:
        band = step.band
        if band and band.op not in (Op.EQ, Op.NE) and band.clear_at == band.raise_at and not step.clear_for:
            yield _advise(
                rule,
                f"{_level(step)}.clear",
                "clears at the limit that raises, at once",
                "a value with a distance, or for",
            )


def _empty_words(rule: Rule, _interval: float) -> Iterator[Problem]:
    for language, text in rule.message.items():
        if rule.main is None and any(name in text for name in ("{value}", "{limit}", "{unit}")):
            yield _advise(rule, f"message.{language}", "the rule has no value to say", "{object} alone")


def _raised_by_nothing(rule: Rule, _interval: float) -> Iterator[Problem]:
    if rule.no_data is NoDataPolicy.RAISE and any(isinstance(leaf, NoData) for leaf in leaves(rule.condition)):
        yield _advise(rule, "no_data", "raise beside a no_data condition says the same twice, sooner", "no_data: keep")


_CHECKS: Final[tuple[Callable[[Rule, float], Iterator[Problem]], ...]] = (
    _too_short, _never, _unreachable, _flaps, _empty_words, _raised_by_nothing,
)  # fmt: skip


def _doubled(book: RuleBook) -> Iterator[Problem]:
    for position, rule in enumerate(book.rules):
        for other in book.rules[:position]:
            if (rule.kind, rule.condition, rule.steps) == (other.kind, other.condition, other.steps):
                yield _advise(rule, "when", f"the same condition as {other.id}", "one rule with both meanings")


def _bands(rule: Rule, leaf: Measured) -> Iterator[tuple[str, Band]]:
    if leaf.band is not None:
        yield "when", leaf.band
        return
    for step in rule.steps:
        if step.band is not None:
            yield f"{_level(step)}.raise", step.band


def _level(step: Step) -> str:
    return step.severity.name.lower()
