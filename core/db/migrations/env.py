"""What Alembic runs: the whole upgrade or downgrade in the transaction of the connection that it is given."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy.types import TypeDecorator

from core.db.tables import METADATA


def plain(kind: str, item: Any, _: AutogenContext) -> str | Literal[False]:
    """Revisions name plain SQL types, so that they stay true when our column types change."""
    return f"sa.{item.impl_instance!r}" if kind == "type" and isinstance(item, TypeDecorator) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
    render_item=plain,
    transactional_ddl=True,
)
context.run_migrations()
