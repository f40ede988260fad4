"""Verdicts as small numbers, so that ten thousand of them combine in one array operation.

The order is the order of `any`: the worst of several verdicts is their maximum. An unknown part keeps `any` from
being CLEAR and `all` from being RAISE, and nothing else (Kleene's three-valued logic, with the band of the
hysteresis beside CLEAR).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from aggregator.rules.language import How, Op
from core.alarms.finding import Verdict
from core.timeseries.store import Floats

Codes = NDArray[np.uint8]
Bools = NDArray[np.bool_]

CLEAR, HOLD, NO_DATA, FAILED, RAISE = range(5)
VERDICTS = (Verdict.CLEAR, Verdict.HOLD, Verdict.NO_DATA, Verdict.FAILED, Verdict.RAISE)
CODE: Mapping[Verdict, int] = {verdict: code for code, verdict in enumerate(VERDICTS)}

_TURN = np.array([RAISE, HOLD, NO_DATA, FAILED, CLEAR], dtype=np.uint8)
_COMPARE: Mapping[Op, Callable[[Floats, Floats | float], Bools]] = {
    Op.GT: np.greater,
    Op.GE: np.greater_equal,
    Op.LT: np.less,
    Op.LE: np.less_equal,
    Op.EQ: np.equal,
    Op.NE: np.not_equal,
}


def judge(values: Floats | None, op: Op, raise_at: Floats | float, clear_at: Floats | float, size: int) -> Codes:
    """One verdict per value; NaN is NO_DATA; `values` None: the store failed."""
    if values is None:
        return np.full(size, FAILED, dtype=np.uint8)
    compare = _COMPARE[op]
    codes = np.where(compare(values, clear_at), HOLD, CLEAR).astype(np.uint8)
    codes[compare(values, raise_at)] = RAISE
    codes[np.isnan(values)] = NO_DATA
    return codes


def combine(how: How, parts: Sequence[Codes]) -> Codes:
    """Parts of one shape into one of the same."""
    if how is How.ANY:
        return reduce(np.maximum, parts)
    return _TURN[reduce(np.maximum, [_TURN[part] for part in parts])]


def gather(how: How, codes: Codes, owners: NDArray[np.intp], size: int) -> Codes:
    """Verdicts (rungs, m) of members into verdicts (rungs, size) of owners; NO_DATA for owners without members."""
    turned = codes if how is How.ANY else _TURN[codes]
    worst = np.zeros((codes.shape[0], size), dtype=np.uint8)
    for row, members in zip(worst, turned, strict=True):
        np.maximum.at(row, owners, members)
    owned = np.bincount(owners, minlength=size)[:size] > 0
    return np.where(owned, worst if how is How.ANY else _TURN[worst], np.uint8(NO_DATA))
