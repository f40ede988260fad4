"""Lengths of time as people write them: `30s`, `5m`, `2h`, `1d`, and `2 scrapes`.

The scrape interval is a setting (0.2 s to 1 h), so a rule that means "two scrapes missed" must be able to say so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PATTERN = r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d|scrapes?)\s*$"
ALLOWED = "a number and one of ms, s, m, h, d, scrapes, as in 30s, 5m, 1.5h, 2 scrapes"

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PARTS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|scrapes?)\s*")


@dataclass(frozen=True, slots=True)
class Duration:
    """`seconds` plus `scrapes` scrape intervals."""

    seconds: float = 0.0
    scrapes: float = 0.0

    def resolve(self, interval: float) -> float:
        """In seconds, when a scrape happens every `interval` seconds."""
        return self.seconds + self.scrapes * interval

    def __str__(self) -> str:
        return f"{self.scrapes:g} scrapes" if self.scrapes else spell(self.seconds)


ZERO = Duration()


def parse(text: str) -> Duration:
    """Raises ValueError when `text` is no duration."""
    match = _PARTS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration; allowed: {ALLOWED}")
    number, unit = float(match[1]), match[2]
    return Duration(scrapes=number) if unit.startswith("scrape") else Duration(seconds=number * _SECONDS[unit])


def spell(seconds: float) -> str:
    """The largest unit that says it exactly: 90 -> `90s`, 7200 -> `2h`."""
    for unit in ("d", "h", "m"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:g}{unit}"
    return f"{seconds:g}s"
