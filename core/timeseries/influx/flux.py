"""Flux that lets the storage engine do the work, and its CSV answers as rows. Pure.

`range`, the filters, `last` and `group` are pushed down to the storage: nothing may stand between them (a `keep` there
doubled the time). `pivot` turns cells into rows on the server, which makes the answer eight times smaller. It is split
by hand: labels hold no comma and no quote, and the client library's reader takes twenty times as long.

Of 1,000 objects with 12 fields, 390 ms are the server's and 6 ms ours. A regular expression is the fastest selection:
`contains` is evaluated row by row, and a chain of `or` is refused from 300 on as too deep and takes ten times as long
when it is put as a tree.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np

from core.timeseries.served.labels import label, name
from core.timeseries.served.tables import Rows, Selection
from core.timeseries.store import Floats, Ints, StoreUnavailable

_MOST_NAMED = 4000
_KEYS = ("_time", "obj", "rev")


def query(bucket: str, selection: Selection, start: int, end: int, *, last: bool = False) -> str:
    """Everything with start <= ns < end; with `last` only the newest of each field of a series."""
    lines = [
        f'from(bucket: "{bucket}")',
        f"range(start: time(v: {start}), stop: time(v: {end}))",
        f'filter(fn: (r) => r._measurement == "{selection.measurement}")',
    ]
    if condition := _named(selection.objects):
        lines.append(f"filter(fn: (r) => {condition})")
    if last:
        lines.append("last()")
    keys = ", ".join(f'"{key}"' for key in _KEYS)
    lines.append("group()")
    lines.append(f'pivot(rowKey: [{keys}], columnKey: ["_field"], valueColumn: "_value")')
    return "\n  |> ".join(lines)


def _named(objects: Collection[str] | None) -> str | None:
    if objects is None or len(objects) > _MOST_NAMED:
        return None
    labels = [label(name) for name in objects]
    if len(labels) == 1:
        return f'r.obj == "{labels[0]}"'
    return f"r.obj =~ /^(?:{'|'.join(re.escape(one).replace('/', chr(92) + '/') for one in labels)})$/"


def rows(body: bytes, selection: Selection) -> Rows:
    """Raises StoreUnavailable for an error that the server tells of after it has begun to answer."""
    lines = body.decode().split("\r\n")
    lines = [line for line in lines if line]
    header = lines[0].split(",") if lines else []
    if "error" in header:
        raise StoreUnavailable(f"influxdb: {lines[1] if len(lines) > 1 else 'an error without a text'}")
    flat = ",".join(lines[1:]).split(",") if len(lines) > 1 else []
    column = {title: flat[at :: len(header)] for at, title in enumerate(header)}
    objects = [name(one) for one in column.get("obj", [])]
    values = np.full((len(objects), len(selection.fields)), np.nan)
    for at, field in enumerate(selection.fields):
        if field in column:
            values[:, at] = _numbers(column[field])
    revisions = np.array(column.get("rev", []), dtype=np.int64)
    found = Rows(objects, revisions, _instants(column.get("_time", [])), values)
    if selection.objects is None:
        return found
    wanted = frozenset(selection.objects)
    return found.take(np.array([row for row, one in enumerate(objects) if one in wanted], dtype=np.int64))


def _numbers(texts: list[str]) -> Floats:
    return np.array([float(text) if text else np.nan for text in texts])


def _instants(texts: list[str]) -> Ints:
    """Nanoseconds of RFC 3339 in UTC; an answer has few instants and many rows."""
    distinct = list(dict.fromkeys(texts))
    parsed = np.array([text.removesuffix("Z") for text in distinct], dtype="datetime64[ns]").astype(np.int64)
    known = dict(zip(distinct, parsed.tolist(), strict=True))
    return np.array([known[text] for text in texts], dtype=np.int64)
