"""The fast parser against the stock one: the same samples on recorded, generated and broken pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from collector.parse import KEEP, LONGEST_LINE, Page, ParseError, Parser, TooManySeries

Sample = tuple[str, dict[str, str], float, float | None]


def stock(text: str) -> list[Sample]:
    """Without TYPE lines: with them it renames counters that are named without _total."""
    lines = "\n".join(line for line in text.split("\n") if not line.startswith("#"))
    families = text_string_to_metric_families(lines)
    return [(s.name, dict(s.labels), float(s.value), s.timestamp) for family in families for s in family.samples]


def ours(page: Page) -> list[Sample]:
    stamps = [math.nan] * len(page.series) if page.stamps is None else page.stamps.tolist()
    return [
        (series.name, dict(series.labels), value, None if math.isnan(stamp) else stamp)
        for series, value, stamp in zip(page.series, page.values.tolist(), stamps, strict=True)
    ]


def same(mine: Sequence[Sample], theirs: Sequence[Sample]) -> bool:
    """NaN equals NaN; -0 equals 0 (the stock parser reads `-0` as an integer)."""
    first, second = ([(*one[:2], one[2] + 0.0, one[3]) for one in samples] for samples in (mine, theirs))
    return repr(first) == repr(second)


@pytest.mark.parametrize("name", ["node_page", "libvirt_page"])
def test_recorded_pages_give_the_stock_parsers_samples_at_every_speed(
    name: str, request: pytest.FixtureRequest
) -> None:
    body: bytes = request.getfixturevalue(name)
    expected, parser = stock(body.decode()), Parser()
    first = parser.parse(body)
    again = parser.parse(body)
    reordered = parser.parse(b"up 1\n" + body)
    assert same(ours(first), expected)
    assert same(ours(again), expected)
    assert again.series is first.series
    assert same(ours(reordered)[1:], expected)
    assert first.samples == len(expected)


NAMES = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True)
LABELS = st.dictionaries(
    st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,5}", fullmatch=True),
    st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from('\n\\"{}=, #'), max_size=8),
    max_size=3,
)
VALUES = st.one_of(
    st.floats().map(repr),
    st.integers(-(10**25), 10**25).map(str),
    st.sampled_from(["NaN", "nan", "+Inf", "-Inf", "Inf", "inf", "1e5", "1E+05", "-0", "0.0", ".5", "5."]),
)
GAPS = st.sampled_from([" ", " ", " ", "  ", "\t", " \t "])


@st.composite
def lines(draw: st.DrawFn) -> str:
    labels = draw(LABELS)
    escaped = {k: v.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"") for k, v in labels.items()}
    comma = draw(st.sampled_from([",", ", "]))
    inner = comma.join(f'{name}="{value}"' for name, value in escaped.items())
    braces = f"{{{inner}{draw(st.sampled_from(['', ','])) if inner else ''}}}" if inner or draw(st.booleans()) else ""
    stamp = draw(st.sampled_from(["", "", "", " 1700000000000", "\t-5", " 12.5"]))
    end = draw(st.sampled_from(["", "", "", " ", "\r"]))
    return draw(NAMES) + braces + draw(GAPS) + draw(VALUES) + stamp + end


@st.composite
def pages(draw: st.DrawFn) -> str:
    extra = st.sampled_from(["", "   ", "# a comment", "# HELP a_metric Text with \\ and {braces} 1", "# EOF"])
    return "".join(line + "\n" for line in draw(st.lists(lines() | extra, max_size=8)))


@settings(deadline=None)
@given(st.lists(pages(), min_size=1, max_size=4))
def test_any_sequence_of_pages_gives_the_stock_parsers_samples(sequence: list[str]) -> None:
    parser = Parser()
    for text in [*sequence, sequence[0], sequence[0]]:
        try:
            expected = stock(text)
        except ValueError:
            with pytest.raises(ParseError):
                parser.parse(text.encode())
        else:
            assert same(ours(parser.parse(text.encode())), expected)


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text('{}=",\\#_ 1aN.\n\t', max_size=60).map(str.encode))
def test_garbage_raises_parse_error_or_nothing(body: bytes) -> None:
    parser = Parser()
    for text in (body, body + b"\n"):
        with suppress(ParseError):
            parser.parse(text)


@settings(deadline=None)
@given(cut=st.integers(1, 20_000), noise=st.binary(max_size=5), at=st.integers(0, 50_000))
def test_a_damaged_page_never_raises_anything_else_and_is_forgotten(cut: int, noise: bytes, at: int) -> None:
    body = b"".join(b'family_%d{device="sd%d"} %d\n' % (n % 9, n, n * n) for n in range(400))
    parser = Parser()
    whole = parser.parse(body)
    at %= len(body)
    for damaged in (body[:-cut], body[:at] + noise + body[at:]):
        with suppress(ParseError):
            parser.parse(damaged)
    assert same(ours(parser.parse(body)), ours(whole))


def test_a_truncated_page_is_refused_even_where_half_a_number_is_a_number() -> None:
    with pytest.raises(ParseError, match="truncated"):
        Parser().parse(b"a 1\nb 23")


def test_a_new_layout_is_noticed_when_the_number_of_lines_stays() -> None:
    parser = Parser(wanted={"b"})
    parser.parse(b'a 1\nb{x="1"} 2\nb{x="2"} 3\n')
    page = parser.parse(b'b{x="0"} 9\nb{x="1"} 2\nb{x="2"} 3\n')
    assert page.values.tolist() == [9, 2, 3]


def test_unwanted_families_are_counted_and_not_kept() -> None:
    parser = Parser(wanted={"b", "c"})
    for _ in range(2):
        page = parser.parse(b"a 1\nb 2\nc 3\nb_total 4\n")
        assert [series.name for series in page.series] == ["b", "c"]
        assert page.samples == 4


def test_the_series_limit_stops_a_page() -> None:
    with pytest.raises(TooManySeries):
        Parser(limit=2).parse(b"a 1\nb 2\nc 3\n")


def test_series_that_are_gone_leave_the_cache_after_some_scrapes() -> None:
    parser = Parser()
    parser.parse(b'gone{vm="1"} 1\nhere 2\nalso 3\n')
    for number in range(KEEP):
        parser.parse(b"here 2\nalso 3\n" + b"x 1\n" * (number % 2))
    assert parser.cached == 4
    parser.parse(b"here 2\nalso 3\n")
    assert parser.cached == 3


def test_a_flood_of_new_series_does_not_grow_the_cache_for_ever() -> None:
    parser = Parser()
    for number in range(50):
        parser.parse(b"".join(b'a{n="%d"} 1\n' % (number * 20 + one) for one in range(20)))
    assert parser.cached <= 20 * (KEEP + 1)


@pytest.mark.parametrize("line", [b"a" * (LONGEST_LINE + 1), b"a{" + b'b="",' * 101 + b"}1"])
def test_lines_that_would_keep_the_stock_parser_busy_are_refused(line: bytes) -> None:
    with pytest.raises(ParseError, match="more than"):
        Parser().parse(line + b"\n")


def test_time_stamps_are_seconds_and_missing_ones_are_nan() -> None:
    page = Parser().parse(b"a 1 1500\nb 2\n")
    assert page.stamps is not None
    assert page.stamps[0] == 1.5
    assert np.isnan(page.stamps[1])
