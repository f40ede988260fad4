"""Every search of the product: the same filters, the same paging, the same order; and the search for one.

A search says which rows, which filters and which two columns order it; counting, paging, escaping and the limits are
here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, TypeVarTuple

from sqlalchemy import ColumnElement, Row, Select, false, func
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.elements import SQLCoreOperations

from core.context import Context, Page
from core.db.folding import folded_like
from core.errors import NotFound
from core.paging import Paged, window

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def exactly(column: SQLCoreOperations[T], wanted: T | None) -> tuple[ColumnElement[bool], ...]:
    """Rows whose column equals `wanted`; no filter when it is None."""
    if wanted is None:
        return ()
    return (false(),) if _unstorable(wanted) else (column == wanted,)


def containing(column: InstrumentedAttribute[str], wanted: str | None) -> tuple[ColumnElement[bool], ...]:
    """Rows whose text contains `wanted`, whatever the case; `%` and `_` mean themselves. No filter when it is None or
    empty.

    Letters outside ASCII are folded by Unicode on SQLite, and by the database's locale on PostgreSQL.
    """
    if not wanted:
        return ()
    if _unstorable(wanted):
        return (false(),)
    literal = wanted.replace("/", "//").replace("%", "/%").replace("_", "/_")
    return (folded_like(column, f"%{literal}%"),)


def only(session: Session, wanted: Select[T], kind: str, id_: str) -> T:
    """The only row there may be. Raises NotFound, which calls it `kind` `id_`."""
    row = session.scalars(wanted).one_or_none()
    if row is None:
        raise NotFound(kind, id_)
    return row


def page(
    at: Context, columns: Select[*Ts], paged: Paged, *, order: Sequence[ColumnElement[Any] | InstrumentedAttribute[Any]]
) -> Page[Row[*Ts]]:
    """The wanted part of `columns` and the number of all rows. A start beyond the end: an empty page and the total."""
    wanted = window(paged, page_numbers=at.settings.page_numbers or paged.counts_pages)
    ordered = columns.order_by(*order)
    if wanted.limit is None:
        everything = tuple(at.session.execute(ordered))
        return Page(everything, len(everything))
    rows = tuple(at.session.execute(ordered.offset(wanted.offset).limit(wanted.limit)))
    if len(rows) < wanted.limit and (rows or wanted.offset == 0):
        return Page(rows, wanted.offset + len(rows))  # the last page says how many there are
    counting = columns.with_only_columns(func.count(), maintain_column_froms=True)
    return Page(rows, at.session.execute(counting).scalar_one())


def _unstorable(wanted: object) -> bool:
    """Text that no database holds: it equals nothing, and is not sent there to fail."""
    return isinstance(wanted, str) and (
        "\0" in wanted or any("\ud800" <= character <= "\udfff" for character in wanted)
    )
