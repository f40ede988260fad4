"""UPDATEs and DELETEs of many rows or of one: compare-and-set, whose WHERE says on what it was decided.

Objects that the session has loaded are not brought up to date: whoever needs them afterwards reads them again.
"""

from __future__ import annotations

from sqlalchemy import CursorResult
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import UpdateBase


def written(session: Session, statement: UpdateBase) -> int:
    """Executes the statement; how many rows it found."""
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)
    return result.rowcount


def changed(session: Session, statement: UpdateBase) -> bool:
    """Whether the statement, meant for one row, found it as it was expected."""
    return written(session, statement) == 1
