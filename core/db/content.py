"""Whether what a query says is what it said last time, without fetching it: the database puts all rows into one text.

At 10,000 VMs a text takes some 5 ms where rows take 50, because nothing becomes a Python object. The order of the rows
is the database's own: another order is another text, and costs one reading too many, never one too few.
"""

from __future__ import annotations

from functools import reduce
from typing import Any, Final

from sqlalchemy import ColumnElement, String, cast, func, literal
from sqlalchemy.orm import InstrumentedAttribute

_FIELD: Final = "\x1f"
_ROW: Final = "\x1e"


def content(*columns: InstrumentedAttribute[Any] | ColumnElement[Any]) -> ColumnElement[str]:
    """An aggregate over all rows: NULL when there is none. What people name freely belongs last."""
    texts: list[ColumnElement[str]] = [func.coalesce(cast(column, String), literal("")) for column in columns]
    return func.aggregate_strings(reduce(_beside, texts), _ROW)


def _beside(left: ColumnElement[str], right: ColumnElement[str]) -> ColumnElement[str]:
    return left + _FIELD + right
