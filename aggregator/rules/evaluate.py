"""All rules on all objects at one moment: arrays in, findings out. Decides; reads and writes nothing.

Only what matters becomes a `Finding`: what is not clear, and what the alarm machine has in hand already
(`open_states`). The worst moments, and where each is closed: a store that fails gives FAILED and clears nothing
(`verdicts`); a host in maintenance, or stopped on purpose, raises nothing new and still clears; a stopped VM is
clear of everything.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aggregator.rules.conditions import Judged, Limits, judge_rule
from aggregator.rules.inventory import NOBODY, at
from aggregator.rules.language import Rule, RuleBook, StateIn, TroubleIn, leaves
from aggregator.rules.text import Wording
from aggregator.rules.verdicts import CLEAR, FAILED, HOLD, NO_DATA, RAISE, VERDICTS, Bools, Codes
from aggregator.rules.view import UNKNOWN_STATE, View
from core.alarms.finding import Finding, NoDataPolicy
from core.compute.rows import VmState
from core.timeseries.fields import Kind

OpenState = tuple[str, str]
"""(rule id, object id) of which the alarm machine remembers something: pending, raised, clearing, latched or flapping.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One rule: its verdicts (rungs, n) and values (n,) for all objects, and the findings for those that matter."""

    rule: Rule
    judged: Judged
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """One moment of all rules."""

    view: View
    outcomes: Sequence[Outcome]

    @property
    def degraded(self) -> bool:
        """Something could not be judged because the store failed."""
        return any((outcome.judged.codes == FAILED).any() for outcome in self.outcomes)


def evaluate(book: RuleBook, limits: Mapping[str, Limits], view: View, open_states: Collection[OpenState]) -> Evaluated:
    """`limits` by rule id (`overrides.limits_of`, for the census of `view`)."""
    opened: dict[str, list[str]] = defaultdict(list)
    for rule_id, object_id in open_states:
        opened[rule_id].append(object_id)
    return Evaluated(view, [_outcome(rule, limits[rule.id], view, opened[rule.id]) for rule in book.rules])


def _outcome(rule: Rule, limits: Limits, view: View, opened: Sequence[str]) -> Outcome:
    population = view.census.populations[rule.kind]
    judged = judge_rule(rule, limits, view)
    codes = _excuse(rule, judged.codes, limits, view)
    judged = Judged(codes, judged.values)
    places = population.locate(opened)
    in_hand = np.zeros(len(population), dtype=np.bool_)
    in_hand[places[places != NOBODY]] = True
    chosen = np.flatnonzero(in_hand | _speaks(rule, codes)).tolist()
    reporter = _Reporter(rule, limits, judged, view, Wording(rule))
    return Outcome(rule, judged, [reporter.finding(place) for place in chosen])


def _excuse(rule: Rule, codes: Codes, limits: Limits, view: View) -> Codes:
    """Objects that may not raise: RAISE and NO_DATA become HOLD; those of which nothing is expected are CLEAR."""
    if any(isinstance(leaf, TroubleIn) for leaf in leaves(rule.condition)):
        return np.where(limits.enabled, codes, np.uint8(CLEAR))
    population = view.census.populations[rule.kind]
    of_vm = population.vm != NOBODY
    muted = ~view.expected(rule.kind)
    if any(isinstance(leaf, StateIn) and leaf.owner is Kind.VM for leaf in leaves(rule.condition)):
        muted &= ~of_vm
    excused = np.where(muted & ((codes == RAISE) | (codes == NO_DATA)), np.uint8(HOLD), codes)
    stopped = at(view.vm_states, population.vm, UNKNOWN_STATE) == int(VmState.STOPPED)
    return np.where(~limits.enabled | stopped, np.uint8(CLEAR), excused)


def _speaks(rule: Rule, codes: Codes) -> Bools:
    """(n,) the objects of which the machine must hear though it remembers nothing of them."""
    speaks = codes == RAISE
    if rule.no_data is NoDataPolicy.RAISE:
        speaks = speaks | (codes == NO_DATA)
    return np.asarray(speaks.any(axis=0), dtype=np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class _Reporter:
    """Makes the findings of one rule."""

    rule: Rule
    limits: Limits
    judged: Judged
    view: View
    wording: Wording

    def finding(self, place: int) -> Finding:
        codes, value = self.judged.codes[:, place].tolist(), float(self.judged.values[place])
        raised = [row for row, code in enumerate(codes) if code == RAISE]
        row = raised[-1] if raised else 0
        census = self.view.census
        return Finding(
            census.populations[self.rule.kind].ids[place],
            tuple(VERDICTS[code] for code in codes),
            value if math.isfinite(value) else None,
            why(Judgement(self.rule, self.limits, self.view, place), self.wording, row, codes[row], value),
            self.wording.content(census.name(self.rule.kind, place), value, float(self.limits.raise_at[row, place])),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """One object (`place`) under one rule, and what was known about it."""

    rule: Rule
    limits: Limits
    view: View
    place: int


def why(judgement: Judgement, wording: Wording, row: int, code: int, value: float) -> str:
    """The reason of the verdict of one rung, for people."""
    rule, limits, view, place = judgement.rule, judgement.limits, judgement.view, judgement.place
    if code == CLEAR and not limits.enabled[place]:
        return "an override disables the rule for this object"
    vm = int(view.census.populations[rule.kind].vm[place])
    if vm != NOBODY and view.vm_states[vm] == VmState.STOPPED:
        return "the VM is stopped"
    raise_at, clear_at = float(limits.raise_at[row, place]), float(limits.clear_at[row, place])
    said = wording.reason(rule.steps[row], VERDICTS[code], value, raise_at, clear_at)
    if code == HOLD and view.in_maintenance(rule.kind)[place]:
        return f"{said}; the host is in maintenance"
    return said
