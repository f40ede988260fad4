"""LIKE whatever the case, on both databases; `/` is the escape character.

PostgreSQL folds both sides with its `lower`. SQLite's `lower` is ours (`core.db.engine`), for its own knows ASCII only;
but a call of it for every row takes three times as long as the rest of a scan. SQLite's LIKE folds ASCII by itself, so
`lower` is left to the texts that hold something else: those with more bytes than characters.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, ColumnElement, func, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


def folded_like(column: InstrumentedAttribute[str], pattern: str) -> ColumnElement[bool]:
    """Whether the text matches the pattern, in any case of either."""
    return _FoldedLike(column, func.lower(literal(pattern)))


class _FoldedLike(FunctionElement[bool]):
    """Of a text and a pattern that is folded already."""

    name = "folded_like"
    type = Boolean()
    inherit_cache = True


@compiles(_FoldedLike)
def _folded(element: _FoldedLike, compiler: SQLCompiler, **how: Any) -> str:
    text, pattern = (compiler.process(clause, **how) for clause in element.clauses)
    return f"lower({text}) LIKE {pattern} ESCAPE '/'"


@compiles(_FoldedLike, "sqlite")
def _folded_in_sqlite(element: _FoldedLike, compiler: SQLCompiler, **how: Any) -> str:
    text, pattern = (compiler.process(clause, **how) for clause in element.clauses)
    ascii_only = f"length({text}) = length(CAST({text} AS BLOB))"
    return f"CASE WHEN {ascii_only} THEN {text} ELSE lower({text}) END LIKE {pattern} ESCAPE '/'"
