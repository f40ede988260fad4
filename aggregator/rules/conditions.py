"""Conditions into verdicts, for all objects of a rule's kind at once: (rungs, n) codes and (n,) values."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from aggregator.rules.inventory import NOBODY
from aggregator.rules.language import Composite, Condition, How, Match, Measured, NoData, Op, Rule, StateIn
from aggregator.rules.verdicts import CLEAR, FAILED, HOLD, NO_DATA, RAISE, Codes, combine, gather, judge
from aggregator.rules.view import UNKNOWN_STATE, View
from core.timeseries.fields import Kind
from core.timeseries.store import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """The limits of a rule's rungs after its overrides: `raise_at` and `clear_at` (rungs, n); `enabled` (n,)."""

    op: Op | None
    raise_at: Floats
    clear_at: Floats
    enabled: np.ndarray[tuple[int], np.dtype[np.bool_]]


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
    if condition.measure.kind is not rule.kind:
        return _judge_targets(condition, rule, limits, view)
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
    return Judged(np.stack([judge(values, _op(limits), *pair, size) for pair in _pairs(limits)]), shown)


def _judge_targets(condition: Measured, rule: Rule, limits: Limits, view: View) -> Judged:
    """The verdicts of the targets of the object's host, made one by `any` or `every`."""
    population, targets = view.census.populations[rule.kind], view.census.populations[Kind.TARGET]
    hosts, rungs = len(view.census.populations[Kind.HOST]), len(rule.steps)
    values = view.values(condition)
    how = How.ANY if condition.measure.match is Match.ANY else How.ALL
    if condition.band is None:
        return _target_main(condition, rule, limits, view)
    one = judge(values, condition.band.op, condition.band.raise_at, condition.band.clear_at, len(targets))
    of_host = gather(how, one[None, :], targets.host, hosts)
    codes = np.where(population.host == NOBODY, np.uint8(NO_DATA), of_host[0][population.host] if hosts else np.uint8(NO_DATA))
    return Judged(np.broadcast_to(codes, (rungs, len(population))), np.full(len(population), np.nan))
