"""Series as people write them in rule tests, one sample per scrape.

`5` one sample; `5x3` it and three more; `1+2x3` is 1 3 5 7 and `9-2x3` is 9 7 5 3; `_` and `_x3` no sample; `stale`
no sample from here on, until the next token; `late` the sample before once more, seen one scrape too late; `reset`
a counter that began anew: no rate at that scrape; `error` and `errorx3` the store does not answer.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum

ALLOWED = "5, 5x3, 1+2x3, 9-2x3, _, _x3, stale, late, reset, error, errorx3"

_NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_RUN = re.compile(rf"({_NUMBER})(?:([+-]\d+(?:\.\d+)?(?:e[+-]?\d+)?)?x(\d+))?")
_WORD = re.compile(r"(_|stale|late|reset|error)(?:x(\d+))?")


class Mark(StrEnum):
    """What is special about one scrape."""

    SEEN = "seen"
    MISSING = "missing"
    LATE = "late"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Point:
    """`value` NaN: this field was not measured, though the scrape succeeded (`reset`)."""

    mark: Mark
    value: float = math.nan


_PLAIN = {"_": Mark.MISSING, "stale": Mark.MISSING, "reset": Mark.SEEN, "error": Mark.ERROR}


def points(text: str) -> tuple[Point, ...]:
    """The scrapes that `text` says. Raises ValueError for a token that means nothing."""
    result: list[Point] = []
    for token in text.split():
        if run := _RUN.fullmatch(token):
            first, step, more = float(run[1]), float(run[2] or 0), int(run[3] or 0)
            result.extend(Point(Mark.SEEN, first + step * position) for position in range(more + 1))
        elif word := _WORD.fullmatch(token):
            times = int(word[2] or 1)
            if word[1] == "late":
                last = next((point.value for point in reversed(result) if not math.isnan(point.value)), math.nan)
                result.extend([Point(Mark.LATE, last)] * times)
            else:
                result.extend([Point(_PLAIN[word[1]])] * times)
        else:
            raise ValueError(f"{token!r} is no token of a series; allowed: {ALLOWED}")
    return tuple(result)
