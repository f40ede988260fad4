"""Which statements a tenant filter reaches: a pure judgement on a statement, before it runs.

Loader criteria are put on mapped classes, wherever a statement names one: in its columns, joins, subqueries, CTEs. They
do not see a table that is named by itself, literal SQL, or the second class of an UPDATE ... FROM. Each SELECT of a
statement is therefore judged by itself: every table that it uses must be one that a mapped class marked `TenantOwned`
brought into that very SELECT.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Delete, Select, Table, Update
from sqlalchemy.sql import Executable
from sqlalchemy.sql.cache_key import HasCacheKey
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import ClauseElement, ColumnClause, TextClause
from sqlalchemy.sql.selectable import FromClause, FromClauseAlias, HasHints, HasPrefixes, HasSuffixes, TableClause
from sqlalchemy.sql.visitors import ExternallyTraversible

from core.db.types import Shared, TenantOwned

_HARMLESS_TEXT = frozenset({"*", "1"})
"""The only literal SQL that SQLAlchemy itself writes into statements: `count(*)`, `EXISTS (SELECT 1 ...)`."""

_PLACES_OF_TEXT = ("_prefixes", "_suffixes", "_hints", "_statement_hints")
"""Where SQLAlchemy keeps what `prefix_with`, `suffix_with` and `with_hint` add: no traversal leads there."""


_judged: Final[set[tuple[Any, ...]]] = set()
_MOST_JUDGED: Final = 10_000


class Unscoped(Exception):
    """A tenant's session was given something that it cannot confine to the tenant. A fault of the program, never of the
    caller.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(f"BUG: {problem}")


def refuse_unreachable(statement: Executable) -> None:
    """Raises Unscoped for a statement that a tenant filter would not reach everywhere.

    What was judged well is not judged again. Two statements are the same here when SQLAlchemy itself takes one for the
    other: when it runs the SQL of the first for the second.
    """
    assert isinstance(statement, HasCacheKey)
    found = statement._generate_cache_key()  # noqa: SLF001 - SQLAlchemy has no public way to ask
    if found is not None and found.key in _judged:
        return
    _judge_all(statement)
    if found is not None:
        if len(_judged) >= _MOST_JUDGED:
            _judged.clear()
        _judged.add(found.key)


def _judge_all(root: object) -> None:
    assert isinstance(root, ExternallyTraversible)
    pending = [root]
    if isinstance(root, (Update, Delete)):
        _refuse_second_class(root)
    while pending:
        pending.extend(_judge(pending.pop()))


def _judge(scope: ExternallyTraversible) -> list[ExternallyTraversible]:
    """Judge one SELECT, UPDATE or DELETE without those inside it, which are returned."""
    used: set[FromClause] = set()
    confined: set[FromClause] = set()
    nested: list[ExternallyTraversible] = []
    for part in _parts(scope, nested):
        source = _source(part)
        if source is not None:
            used.add(source)
            if _entity(part) is not None:
                confined.add(source)
    if unconfined := used - confined:
        names = ", ".join(sorted(str(getattr(source, "name", source)) for source in unconfined))
        raise Unscoped(f"a table is named instead of its class: {names}")
    return nested


def _refuse_added_text(part: ExternallyTraversible) -> None:
    if isinstance(part, (HasPrefixes, HasSuffixes, HasHints)) and any(
        getattr(part, at, None) for at in _PLACES_OF_TEXT
    ):
        raise Unscoped("literal SQL before, in or after a statement")


def _parts(scope: ExternallyTraversible, nested: list[ExternallyTraversible]) -> Iterator[ClauseElement]:
    """What stands in the scope itself; SELECTs inside it are put into `nested`."""
    _refuse_added_text(scope)
    waiting = list(scope.get_children())
    while waiting:
        part = waiting.pop()
        if isinstance(part, Select):
            nested.append(part)
            continue
        if isinstance(part, UpdateBase):
            raise Unscoped("a statement that writes stands inside another one")
        if isinstance(part, TextClause) or (
            isinstance(part, ColumnClause) and part.is_literal and part.name not in _HARMLESS_TEXT
        ):
            raise Unscoped(f"literal SQL: {part}")
        _refuse_added_text(part)
        if isinstance(part, ClauseElement):
            yield part
        if not _is_table(part):
            waiting.extend(part.get_children())


def _source(part: ClauseElement) -> FromClause | None:
    """The table, or alias of a table, that this part uses."""
    if isinstance(part, ColumnClause):
        return part.table if _is_table(part.table) else None
    return part if isinstance(part, FromClause) and _is_table(part) else None


def _is_table(part: object) -> bool:
    return isinstance(part, TableClause) or (isinstance(part, FromClauseAlias) and _is_table(part.element))


def _entity(part: ClauseElement) -> type[Any] | None:
    """The mapped class that brought this part into the statement: what loader criteria themselves go by."""
    notes = part._annotations  # noqa: SLF001 - SQLAlchemy has no public way to ask
    entity = notes.get("parententity") or notes.get(
        "parentmapper"
    )  # the latter: the condition of a relationship's join
    if entity is None:
        return None
    kind: type[Any] = entity.mapper.class_
    if not issubclass(kind, (TenantOwned, Shared)):
        raise Unscoped(f"{kind.__name__} is not TenantOwned: a tenant session does not see it")
    return kind


def _refuse_second_class(statement: Update | Delete) -> None:
    """Only the class that is written is filtered by loader criteria; and its rows stay with their tenant."""
    target = statement.table
    entity = target._annotations.get("parententity")  # noqa: SLF001 - as in `_entity`
    if entity is not None and not issubclass(entity.mapper.class_, TenantOwned):
        raise Unscoped(f"{entity.mapper.class_.__name__} is not TenantOwned: a tenant session does not write it")
    for part in _parts(statement, []):
        source = _source(part)
        if isinstance(source, (Table, FromClauseAlias)) and source != target:
            raise Unscoped(f"a second class in an UPDATE or DELETE: {source.name}")
    values: Any = getattr(statement, "_values", None) or {}
    if any(getattr(column, "key", column) == "tenant_id" for column in values):
        raise Unscoped("a row never moves to another tenant")
