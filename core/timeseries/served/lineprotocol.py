"""InfluxDB line protocol, the fastest correct way: one body per write, built by hand.

Measured at 10,500 objects x 12 fields: 24 ms, where the client library's DataFrame serialiser takes 67 and its Point
objects 164. What costs is formatting floats; the prefix of a series is built once and kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from core.timeseries.served.labels import label
from core.timeseries.served.tables import Table

_KEPT_PREFIXES = 200_000


class LineProtocol:
    """Threads may share it: what is kept is only ever added or dropped whole."""

    def __init__(self) -> None:
        self._prefixes: dict[tuple[str, int, str], str] = {}

    def body(self, tables: Sequence[Table]) -> bytes:
        """Times in ticks; no line for a row without a number."""
        return "\n".join(line for table in tables for line in self._lines(table)).encode()

    def _lines(self, table: Table) -> Iterator[str]:
        """Rows that hold every field take one format; a row with gaps is put together field by field."""
        columns = {name: column for name, column in table.columns.items() if not np.isnan(column).all()}
        if not columns:
            return
        matrix = np.column_stack(list(columns.values()))
        whole = np.logical_not(np.isnan(matrix).any(axis=1)).tolist()
        whole_row = ",".join(f"{name}=%r" for name in columns)
        heads = self._heads(table)
        for head, row, complete, tick in zip(heads, matrix.tolist(), whole, table.ticks.tolist(), strict=True):
            if complete:
                yield f"{head} {whole_row % tuple(row)} {tick}"
            elif held := ",".join(f"{name}={cell!r}" for name, cell in zip(columns, row, strict=True) if cell == cell):
                yield f"{head} {held} {tick}"

    def _heads(self, table: Table) -> Iterator[str]:
        prefixes = self._prefixes
        if len(prefixes) > _KEPT_PREFIXES:
            prefixes.clear()
        for name in table.objects:
            key = (table.measurement, table.revision, name)
            head = prefixes.get(key)
            if head is None:
                head = prefixes[key] = f"{table.measurement},obj={label(name)},rev={table.revision}"
            yield head
