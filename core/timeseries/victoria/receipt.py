"""The receipt of a write to a cluster: what a reading has to show before the write counts as acknowledged. Pure.

vminsert answers before it has passed anything on, and its own figures are no proof: they are up to a second old, and
say `sent` before a vmstorage has stored what came. So what was written is read again. Of a few rows every number is
looked for; of many, the first field of each (one series in twelve or more): what one vmstorage lacks shows there too,
because every part of a large body has some of these series on every node.

Rows older than what the nodes keep are not looked for: a server drops them and says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.timeseries.served.tables import Rows, Selection, Table
from core.timeseries.store import Ints

_FEW: Final = 64
_MINUTE: Final = 60_000


@dataclass(frozen=True, slots=True, eq=False)
class Receipt:
    """Rows of one table within a minute. `held` (rows, fields of the selection): which of them have a number. `every`:
    all fields are looked for, not just the first."""

    selection: Selection
    revision: int
    objects: list[str]
    ticks: Ints
    held: np.ndarray[tuple[int, int], np.dtype[np.bool_]]

    @property
    def every(self) -> bool:
        return self.selection.objects is not None

    def shown_by(self, found: Rows) -> bool:
        """`found`: the rows of the selection, in its fields, in any order."""
        revisions = (found.revisions == self.revision).tolist()
        places = zip(found.objects, found.ticks.tolist(), strict=True)
        at = {place: row for row, (place, mine) in enumerate(zip(places, revisions, strict=True)) if mine}
        rows = [at.get(place, -1) for place in zip(self.objects, self.ticks.tolist(), strict=True)]
        if -1 in rows:
            return False
        return bool((~np.isnan(found.values[rows]) | ~self.held).all())


def receipts(table: Table, earliest: int) -> Iterator[Receipt]:
    """Of the rows that are not older than the tick `earliest`; a tick is a millisecond. `table`: with the columns that
    are sent."""
    few = len(table) <= _FEW
    fields = tuple(table.columns)[: None if few else 1]
    held = ~np.isnan(np.column_stack([table.columns[field] for field in fields]))
    minutes = table.ticks // _MINUTE
    for minute in np.unique(minutes[table.ticks >= earliest]).tolist():
        rows = np.flatnonzero((minutes == minute) & (table.ticks >= earliest))
        objects = [table.objects[row] for row in rows.tolist()]
        selection = Selection(table.place, table.measurement, fields, frozenset(objects) if few else None)
        yield Receipt(selection, table.revision, objects, table.ticks[rows], held[rows])
