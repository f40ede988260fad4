"""Selectors of series and the answers of the export, as text. Pure.

A point of the table `vm` kept as `raw` becomes the series `starvc_raw_vm_cpu_rate{obj="..."}`, and `rev="1"` for a
revision.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import numpy as np
import orjson

from core.timeseries.served.labels import label, name
from core.timeseries.served.tables import Cells, Rows, Selection, gathered
from core.timeseries.store import Level

_MOST_NAMED = 4000


def measurement(prefix: str, place: Level, table: str) -> str:
    return f"{prefix}_{place}_{table}"


def matcher(objects: Collection[str] | None) -> str:
    """The label matcher of the objects; nothing for all, and for so many that the caller had better filter."""
    if objects is None or len(objects) > _MOST_NAMED:
        return ""
    labels = [label(name) for name in objects]
    if len(labels) == 1:
        return f'obj="{labels[0]}"'
    alternatives = "|".join(re.escape(one) for one in labels).replace("\\", "\\\\")
    return f'obj=~"{alternatives}"'


def series(prefix: str, selection: Selection) -> str:
    """The selector of all fields of a table: one regular expression of the name costs less than one per field."""
    every = f'__name__=~"{measurement(prefix, selection.place, selection.measurement)}_.+"'
    return "{" + ",".join(part for part in (every, matcher(selection.objects)) if part) + "}"


def first(prefix: str, selection: Selection) -> str:
    """The selector of the first field of all objects."""
    return f'{{__name__="{measurement(prefix, selection.place, selection.measurement)}_{selection.fields[0]}"}}'


def rows(body: bytes, prefix: str, selection: Selection, fields: Sequence[str]) -> Rows:
    """The rows of an export: one JSON object per line and series. Fields that nobody asked for are passed over."""
    start = len(measurement(prefix, selection.place, selection.measurement)) + 1
    position = {field: at for at, field in enumerate(fields)}
    wanted = None if selection.objects is None else frozenset(selection.objects)
    owners: dict[tuple[str, int], int] = {}
    places: list[tuple[int, int, int]] = []
    ticks: list[int] = []
    values: list[float] = []
    for line in body.splitlines():
        found = orjson.loads(line)
        metric = found["metric"]
        field = position.get(metric["__name__"][start:])
        owner = (name(metric.get("obj", "")), int(metric.get("rev", 0)))
        if field is None or (wanted is not None and owner[0] not in wanted):
            continue
        places.append((owners.setdefault(owner, len(owners)), field, len(found["values"])))
        ticks += found["timestamps"]
        values += found["values"]
    owner_of, field_of, length = np.array(places, dtype=np.int64).reshape(-1, 3).T
    cells = Cells(
        np.repeat(owner_of, length),
        np.repeat(field_of, length),
        np.array(ticks, dtype=np.int64),
        np.array(values, dtype=np.float64),
    )
    return gathered(list(owners), cells, len(fields))
