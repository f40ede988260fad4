"""The newest samples, and their figures in the precision that people are shown."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from core.context import Context
from core.timeseries.fields import COLUMN, FIELDS, Kind
from core.timeseries.store import Floats

STALE_INTERVALS: Final = 3
"""A value older than so many scrape intervals is no current value."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The newest sample of one object."""

    kind: Kind
    time: float
    values: Floats

    @property
    def measured_at(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)

    def figure(self, name: str) -> Decimal | None:
        return figure(self.kind, name, float(self.values[COLUMN[self.kind][name]]))


def figure(kind: Kind, name: str, value: float) -> Decimal | None:
    """`value` with the decimals of its field, halves away from zero; None when it was not measured."""
    if not math.isfinite(value):
        return None
    decimals = FIELDS[kind][COLUMN[kind][name]].decimals
    return Decimal(value).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


def newest(at: Context, kind: Kind, objects: Collection[str] | None) -> Mapping[str, Sample]:
    """The newest kept sample of each object, however old; all objects of the kind for None. One call of the store."""
    since = at.clock.now().timestamp() - at.settings.raw_retention * 3600.0
    frame = at.store.latest(kind, since, objects)
    return {
        name: Sample(kind, float(time), row)
        for name, time, row in zip(frame.objects, frame.times, frame.values, strict=True)
    }


def is_current(at: Context, sample: Sample) -> bool:
    return at.clock.now().timestamp() - sample.time <= STALE_INTERVALS * at.settings.scrape_interval
