"""The Prometheus text format 0.0.4, as fast as plain Python reads it, with the results of `prometheus_client.parser`.

An exporter sends the same lines with other numbers, scrape after scrape. Three speeds follow from that:

1. *same layout*: every line starts as its predecessor did; only the numbers behind are converted (millions of samples
   a second);
2. *other layout, known series*: the text before the last space is looked up in a cache of series;
3. *unknown text*: a strict regular expression reads the plain form, `prometheus_client.parser` everything else (time
   stamps, exemplars, tabs, odd spacing), one line at a time.

Speed 1 and 2 are taken only where they cannot differ from 3: the cached text is a whole series in the strict form,
what follows is one token, and `float` accepts it or the line goes to 3. Differences to the stock parser, all on
purpose: a page that does not end with a line feed is refused as truncated (the format demands it; half a number would
pass as a number); comments are skipped unread, so a malformed one is no error; a counter named without `_total` keeps
the name it has on the page.

Hostile pages: anything may come in, only `ParseError` and `TooManySeries` go out. Memory is bounded by the page (body
limit) and the number of series; cache entries that no scrape has shown for `KEEP` scrapes are dropped. The stock
parser copies the rest of a line once per label, so it is given neither very long lines nor very many labels. What the
lines start with is interned, for 500 hosts of a kind have the same lines.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import getitem, itemgetter
from sys import intern
from typing import Final

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from core.timeseries.store import Floats

KEEP: Final = 10
LONGEST_LINE: Final = 8192
MOST_LABELS: Final = 100
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
_SERIES = re.compile(rf"({_NAME})(?:\{{((?:{_LABEL}(?:,{_LABEL})*,?)?)\}})?")
_SHAPE = re.compile(rf'{_NAME}(?:\{{[^\n]*"\}})?')
_ESCAPED = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
_ESCAPE = re.compile(r'\\([\\n"])')
_PLAIN = {"n": "\n", "\\": "\\", '"': '"'}


class ParseError(Exception):
    """Not a page of the text format; says which line."""


class TooManySeries(Exception):
    """More samples on the page than allowed."""


@dataclass(frozen=True, slots=True)
class Series:
    """`text` is how the page spells it: the key of everything that is remembered about it."""

    text: str
    name: str
    labels: Mapping[str, str]


_ODD: Final = Series("", "", {})


@dataclass(frozen=True, slots=True)
class Page:
    """One scrape. `series` is the same object as long as the layout is the same. `values` and `stamps` (epoch
    seconds, NaN: the exporter gave none) are parallel to it; `stamps` is None when no sample has one. `samples`
    counts the unwanted ones too."""

    series: tuple[Series, ...]
    values: Floats
    stamps: Floats | None
    samples: int


@dataclass(frozen=True, slots=True)
class _Layout:
    """`prefixes`: what each line starts with; `pick` and `tails`: which lines are wanted, and where their numbers
    begin."""

    prefixes: Sequence[str]
    pick: itemgetter[object]
    tails: Sequence[slice]
    series: tuple[Series, ...]
    samples: int


class Parser:
    """Reads the pages of one target. `wanted`: names of the families to keep; None keeps all."""

    def __init__(self, wanted: Collection[str] | None = None, limit: int = 1_000_000) -> None:
        self._wanted = wanted
        self._limit = limit
        self._layout: _Layout | None = None
        self._cache: dict[str, Series] = {}
        self._vanished: dict[str, int] = {}
        self._scrape = 0

    def parse(self, body: bytes) -> Page:
        """The samples of a page, in its order. Raises ParseError and TooManySeries; what is remembered stays good."""
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            raise ParseError(f"not UTF-8 at byte {error.start}") from error
        if text and text[-1] != "\n":
            raise ParseError("truncated: the last line does not end")
        self._scrape += 1
        lines = text.split("\n")
        lines.pop()
        if "" in lines:
            lines = [line for line in lines if line]
        return self._same_layout(lines) or self._other_layout(lines)

    @property
    def cached(self) -> int:
        """Series remembered."""
        return len(self._cache)

    def _same_layout(self, lines: list[str]) -> Page | None:
        layout = self._layout
        if layout is None or len(lines) != len(layout.prefixes) or not all(map(str.startswith, lines, layout.prefixes)):
            return None
        values = _numbers(list(map(getitem, layout.pick(lines), layout.tails)))
        return None if values is None else Page(layout.series, values, None, layout.samples)

    def _other_layout(self, lines: list[str]) -> Page:
        reading = _Reading(self._cache, self._wanted, self._limit)
        for number, line in enumerate(lines, 1):
            reading.line(number, line)
        page = reading.page()
        self._remember(reading.seen)
        self._layout = reading.layout(page)
        return page

    def _remember(self, seen: set[str]) -> None:
        for text in self._cache.keys() - seen - self._vanished.keys():
            self._vanished[text] = self._scrape
        for text in self._vanished.keys() & seen:
            del self._vanished[text]
        for text in [text for text, when in self._vanished.items() if self._scrape - when >= KEEP]:
            del self._vanished[text], self._cache[text]


class _Reading:
    """One page, line by line: speeds 2 and 3. `cache` maps the text of a series to it."""

    def __init__(self, cache: dict[str, Series], wanted: Collection[str] | None, limit: int) -> None:
        self._cache, self._wanted, self._limit = cache, wanted, limit
        self._prefixes: list[str] | None = []
        self._picked: list[int] = []
        self._series: list[Series] = []
        self._values: list[float] = []
        self._stamps: list[float] = []
        self._samples = 0
        self.seen: set[str] = set()

    def line(self, number: int, line: str) -> None:
        if line.startswith("#"):
            if self._prefixes is not None:
                self._prefixes.append("#")
            return
        text, _, token = line.rpartition(" ")
        series = self._lookup(text) if self._wanted is None or text.partition("{")[0] in self._wanted else _passed(text)
        if series is _ODD or (value := _number(token)) is None:
            self._stock(number, line)
            return
        self._count()
        if self._prefixes is not None:
            self._prefixes.append(intern(text + " "))
        if series is not None:
            self.seen.add(text)
            self._picked.append(number - 1)
            self._add(series, value, np.nan)

    def page(self) -> Page:
        stamps = np.array(self._stamps)
        dated = None if np.isnan(stamps).all() else stamps
        return Page(tuple(self._series), np.array(self._values), dated, self._samples)

    def layout(self, page: Page) -> _Layout | None:
        """What the next page is compared with; None when a line went through the stock parser or nothing is wanted."""
        if self._prefixes is None or len(self._picked) < 2:
            return None
        tails = [slice(len(self._prefixes[position]), None) for position in self._picked]
        return _Layout(tuple(self._prefixes), itemgetter(*self._picked), tails, page.series, page.samples)

    def _lookup(self, text: str) -> Series:
        """The series, or _ODD: not in the plain form."""
        found = self._cache.get(text, _ODD)
        if found is _ODD and (match := _SERIES.fullmatch(text)) and (series := _plain(text, match)):
            found = self._cache[text] = series
        return found

    def _stock(self, number: int, line: str) -> None:
        self._prefixes = None
        if len(line) > LONGEST_LINE or line.count('="') > MOST_LABELS:
            raise ParseError(
                f"line {number}: {line[:100]!r}... has more than {LONGEST_LINE} characters or {MOST_LABELS} labels"
            )
        try:
            families = list(text_string_to_metric_families(line))
            samples = [(s.name, s.labels, float(s.value), s.timestamp) for family in families for s in family.samples]
        except (ValueError, IndexError, KeyError, OverflowError, TypeError) as error:
            raise ParseError(f"line {number}: {line[:100]!r} is no sample: {error}") from error
        for name, labels, value, stamp in samples:
            self._count()
            if self._is_wanted(name):
                text = name + "{" + ",".join(f"{key}={labels[key]!r}" for key in sorted(labels)) + "}"
                self._add(Series(text, name, labels), value, np.nan if stamp is None else float(stamp))

    def _is_wanted(self, name: str) -> bool:
        return self._wanted is None or name in self._wanted

    def _add(self, series: Series, value: float, stamp: float) -> None:
        self._series.append(series)
        self._values.append(value)
        self._stamps.append(stamp)

    def _count(self) -> None:
        self._samples += 1
        if self._samples > self._limit:
            raise TooManySeries(f"more than {self._limit} samples")


def _passed(text: str) -> Series | None:
    """A series that is not wanted is looked at, not read: None if it has the shape of one, else _ODD."""
    return None if _SHAPE.fullmatch(text) else _ODD


def _plain(text: str, match: re.Match[str]) -> Series | None:
    written = match[2] or ""
    pairs = _ESCAPED.findall(written) if "\\" in written else _pairs(written)
    labels = {
        name: _ESCAPE.sub(lambda found: _PLAIN[found[1]], value) if "\\" in value else value for name, value in pairs
    }
    if len(labels) != len(pairs) or ("__" in text and any(name.startswith("__") for name in labels)):
        return None  # the stock parser decides
    return Series(text, match[1], labels)


def _pairs(written: str) -> list[tuple[str, str]]:
    """Of labels in the strict form without a backslash: every quote in them begins or ends a value."""
    parts = written.split('"')
    return [(name.strip(",="), value) for name, value in zip(parts[:-1:2], parts[1::2], strict=True)]


def _number(token: str) -> float | None:
    try:
        return None if "_" in token else float(token)
    except ValueError:
        return None


def _numbers(tokens: list[str]) -> Floats | None:
    """All of them as floats, or None if one is no plain number; `_` is Python's own and stands in no page."""
    try:
        return None if "_" in "".join(tokens) else np.array(list(map(float, tokens)))
    except ValueError:
        return None
