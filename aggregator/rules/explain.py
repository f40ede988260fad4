"""Why an alarm was raised, or was not: the last evaluations of every rule on every object, in columns.

A value takes four bytes and the verdicts of all rungs two, so that twenty rules on ten thousand objects, twelve
evaluations deep, take 15 MB. Reasons are worded when they are asked for.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aggregator.rules.conditions import Limits
from aggregator.rules.evaluate import Evaluated, Judgement, why
from aggregator.rules.inventory import Population
from aggregator.rules.language import Rule
from aggregator.rules.text import Wording
from aggregator.rules.verdicts import VERDICTS, Codes
from core.alarms.finding import Severity, Verdict
from core.errors import NotFound

DEPTH: Final = 12
_BITS: Final = 3


@dataclass(frozen=True, slots=True)
class Explanation:
    """One evaluation: `verdicts` by severity, lowest first; `value` None: there was none; `why` for people."""

    at: float
    value: float | None
    unit: str
    verdicts: tuple[tuple[Severity, Verdict], ...]
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    at: float
    population: Population
    values: NDArray[np.float32]
    codes: NDArray[np.uint16]


class Memory:
    """The last DEPTH evaluations. Written by the evaluating thread, read by any."""

    def __init__(self, depth: int = DEPTH) -> None:
        self._depth = depth
        self._columns: dict[str, deque[_Column]] = {}
        self._last: tuple[Evaluated, dict[str, Limits]] | None = None
        self._lock = threading.Lock()

    def remember(self, evaluated: Evaluated, limits: dict[str, Limits]) -> None:
        """Rules that are no longer evaluated are forgotten."""
        columns = {}
        for outcome in evaluated.outcomes:
            population = evaluated.view.census.populations[outcome.rule.kind]
            column = _Column(
                evaluated.view.moment.now,
                population,
                outcome.judged.values.astype(np.float32),
                _pack(outcome.judged.codes),
            )
            columns[outcome.rule.id] = deque([*self._columns.get(outcome.rule.id, ()), column], maxlen=self._depth)
        with self._lock:
            self._columns, self._last = columns, (evaluated, limits)

    def explain(self, rule_id: str, object_id: str) -> Sequence[Explanation]:
        """The last evaluations, newest first. The limits in the reasons are those in force now.

        Raises NotFound for a rule or an object that the last evaluation did not know.
        """
        with self._lock:
            columns, last = list(self._columns.get(rule_id, ())), self._last
        if not columns or last is None:
            raise NotFound("rule", rule_id)
        evaluated, limits = last
        rule = next(outcome.rule for outcome in evaluated.outcomes if outcome.rule.id == rule_id)
        place = columns[-1].population.position.get(object_id)
        if place is None:
            raise NotFound(rule.kind.value, object_id)
        known = [(column, column.population.position.get(object_id)) for column in reversed(columns)]
        return [
            _explain(rule, limits[rule_id], evaluated, column, there, place)
            for column, there in known
            if there is not None
        ]

    def size(self) -> int:
        """Bytes held in columns."""
        with self._lock:
            return sum(c.values.nbytes + c.codes.nbytes for columns in self._columns.values() for c in columns)


def _explain(rule: Rule, limits: Limits, evaluated: Evaluated, column: _Column, there: int, place: int) -> Explanation:
    """`there`: where the object stood then; `place`: where it stands now."""
    value = float(column.values[there])
    codes = [int(column.codes[there]) >> _BITS * row & 7 for row in range(len(rule.steps))]
    wording = Wording(rule)
    row = max(range(len(codes)), key=lambda row: (codes[row], row))
    return Explanation(
        column.at,
        value if np.isfinite(value) else None,
        wording.unit,
        tuple((step.severity, VERDICTS[code]) for step, code in zip(rule.steps, codes, strict=True)),
        why(Judgement(rule, limits, evaluated.view, place), wording, row, codes[row], value),
    )


def _pack(codes: Codes) -> NDArray[np.uint16]:
    """(rungs, n) verdicts into (n,): three bits each."""
    packed = np.zeros(codes.shape[1], dtype=np.uint16)
    for row in range(codes.shape[0]):
        packed |= codes[row].astype(np.uint16) << np.uint16(_BITS * row)
    return packed
