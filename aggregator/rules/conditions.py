"""Conditions into verdicts, for all objects of a rule's kind at once: (rungs, n) codes and (n,) values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aggregator.rules.inventory import NOBODY, at
from aggregator.rules.language import Composite, Condition, How, Match, Measured, NoData, Rule, StateIn, TroubleIn
from aggregator.rules.verdicts import CLEAR, FAILED, HOLD, NO_DATA, RAISE, Bools, Codes, combine, gather, judge
from aggregator.rules.view import UNKNOWN_STATE, View
from core.timeseries.fields import Kind
from core.timeseries.store import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """The limits of a rule's rungs after its overrides: `raise_at` and `clear_at` (rungs, n), NaN for rungs without
    limits; `enabled` (n,)."""

    raise_at: Floats
    clear_at: Floats
    enabled: Bools


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """`values`: of the main condition, or of the first that measures; NaN where there is none."""

    codes: Codes
    values: Floats


def judge_rule(rule: Rule, limits: Limits, view: View) -> Judged:
    return _judge(rule.condition, rule, limits, view)


def _judge(condition: Condition, rule: Rule, limits: Limits, view: View) -> Judged:
    if isinstance(condition, Composite):
        parts = [_judge(part, rule, limits, view) for part in condition.parts]
        chosen = _speaking(condition, rule)
        return Judged(combine(condition.how, [part.codes for part in parts]), parts[chosen].values)
    if isinstance(condition, StateIn):
        return _judge_state(condition, rule, view)
    if isinstance(condition, NoData):
        return _judge_silence(condition, rule, view)
    if isinstance(condition, TroubleIn):
        return _judge_trouble(condition, rule, view)
    if condition.measure.kind is not rule.kind:
        return _judge_targets(condition, rule, view)
    return _judge_measured(condition, rule, limits, view)


def _speaking(condition: Composite, rule: Rule) -> int:
    """Which part's value stands for the whole: the one with the main leaf, else the first that measures anything."""

    def measures(part: Condition) -> int:
        if isinstance(part, Composite):
            return max(measures(inner) for inner in part.parts)
        return 2 if part is rule.main else 1 if isinstance(part, Measured) else 0

    ranks = [measures(part) for part in condition.parts]
    return ranks.index(max(ranks))


def _judge_measured(condition: Measured, rule: Rule, limits: Limits, view: View) -> Judged:
    size, rungs = len(view.census.populations[rule.kind]), len(rule.steps)
    values = view.values(condition)
    shown = np.full(size, np.nan) if values is None else values
    if condition.band is not None:
        band = condition.band
        codes = judge(values, band.op, band.raise_at, band.clear_at, size)
        return Judged(np.broadcast_to(codes, (rungs, size)), shown)
    pairs = zip(limits.raise_at, limits.clear_at, strict=True)
    ops = [step.band.op for step in rule.steps if step.band is not None]
    return Judged(np.stack([judge(values, op, *pair, size) for op, pair in zip(ops, pairs, strict=True)]), shown)


def _judge_targets(condition: Measured, rule: Rule, view: View) -> Judged:
    """The verdicts of the targets of the object's host, made one by `any` or `every`."""
    targets = view.census.populations[Kind.TARGET]
    band = condition.band
    if band is None:
        raise AssertionError("BUG: the language lets no target measure take the limits of a rule")
    codes = judge(view.values(condition), band.op, band.raise_at, band.clear_at, len(targets))
    how = How.ANY if condition.measure.match is Match.ANY else How.ALL
    return _of_hosts(how, codes, rule, view)


def _judge_silence(condition: NoData, rule: Rule, view: View) -> Judged:
    """RAISE needs silence that somebody was there to hear: a start of ours, a new object or a gap of ours is no
    evidence."""
    population = view.census.populations[condition.kind]
    silence = view.silence(condition.kind)
    if silence is None:
        codes, shown = np.full(len(population), FAILED, dtype=np.uint8), np.full(len(population), np.nan)
    else:
        shown, watched = silence
        codes = np.where(shown <= condition.seconds, CLEAR, NO_DATA).astype(np.uint8)
        codes[watched > condition.seconds] = RAISE
    if condition.kind is not rule.kind:
        return _of_hosts(How.ALL, codes, rule, view)
    return Judged(np.broadcast_to(codes, (len(rule.steps), len(population))), shown)


def _of_hosts(how: How, codes: Codes, rule: Rule, view: View) -> Judged:
    """Verdicts of targets (m,) into verdicts of the objects on the targets' hosts."""
    population, targets = view.census.populations[rule.kind], view.census.populations[Kind.TARGET]
    hosts = len(view.census.populations[Kind.HOST])
    owned = targets.host != NOBODY
    by_host = gather(how, codes[None, owned], targets.host[owned], hosts)[0].astype(np.intp)
    verdicts = at(by_host, population.host, NO_DATA).astype(np.uint8)
    return Judged(np.broadcast_to(verdicts, (len(rule.steps), len(population))), np.full(len(population), np.nan))


def _judge_state(condition: StateIn, rule: Rule, view: View) -> Judged:
    states = view.states(condition.owner, rule.kind)
    codes = np.full(len(states), HOLD, dtype=np.uint8)
    codes[np.isin(states, list(condition.raised))] = RAISE
    codes[np.isin(states, list(condition.cleared))] = CLEAR
    codes[states == UNKNOWN_STATE] = NO_DATA
    return Judged(np.broadcast_to(codes, (len(rule.steps), len(states))), states.astype(np.float64))


def _judge_trouble(condition: TroubleIn, rule: Rule, view: View) -> Judged:
    population = view.census.populations[rule.kind]
    concerned = frozenset[str]().union(*(view.troubles.get(trouble, ()) for trouble in condition.which))
    codes = np.full(len(population), CLEAR, dtype=np.uint8)
    places = population.locate(sorted(concerned))
    codes[places[places != NOBODY]] = RAISE
    return Judged(np.broadcast_to(codes, (len(rule.steps), len(codes))), np.full(len(codes), np.nan))
