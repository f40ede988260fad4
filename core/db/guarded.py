"""Compare-and-set: an UPDATE or DELETE whose WHERE says on what it was decided, and whether it came in time."""

from __future__ import annotations

from sqlalchemy import CursorResult
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import UpdateBase


def changed(session: Session, statement: UpdateBase) -> bool:
    """Whether the statement, meant for one row, found it as it was expected."""
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)
    return result.rowcount == 1
