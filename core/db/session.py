"""Two kinds of session: the platform's sees everything, a tenant's sees that tenant's rows and can reach nothing else.

The worst moment: an ORM filter that is merely *added* scopes most statements and lets others through unseen (tables
instead of classes, text, bulk statements, raw connections, rows handed over by hand). So a tenant's session filters
what a filter reaches (`core.db.scope`) and refuses everything else with `Unscoped`: forgetting is an error, never a
leak. What is left over is closed elsewhere:

* an object in the identity map is given out by `get()` without a query: a session belongs to one tenant for life, and
  to one request;
* a link to another tenant's row: composite foreign keys (tenant, id) in the tables.
"""

from __future__ import annotations

from typing import Final, NoReturn, TypeVar

from sqlalchemy import Engine, event, inspect
from sqlalchemy.orm import ORMExecuteState, Session, UOWTransaction, with_loader_criteria
from sqlalchemy.sql import Executable

from core.db.scope import Unscoped, refuse_unreachable
from core.db.types import OneKind, TenantOwned

S = TypeVar("S", bound=Executable)

_EVERY_KIND: Final = "starvc_every_kind"
_OWN_KIND: Final = with_loader_criteria(OneKind, lambda row: row.of_kind(), include_aliases=True)


def of_every_kind(statement: S) -> S:
    """The statement sees all rows of the tables of `OneKind` classes: for what a row takes or holds, whatever it is."""
    return statement.execution_options(**{_EVERY_KIND: True})


class PlatformSession(Session):
    """Sees all tenants' rows: for platform callers, and for the product's own work."""

    def __init__(self, bind: Engine) -> None:
        super().__init__(bind, expire_on_commit=False)


class TenantSession(Session):
    """Sees the `TenantOwned` rows of one tenant, for one request. New rows get the tenant by themselves."""

    def __init__(self, bind: Engine, tenant_id: str) -> None:
        super().__init__(bind, expire_on_commit=False)
        self._tenant_id = tenant_id

    @property
    def tenant_id(self) -> str:
        return self._tenant_id

    def connection(self, *_: object, **__: object) -> NoReturn:
        raise Unscoped("a tenant session gives no raw connection")

    def bulk_save_objects(self, *_: object, **__: object) -> NoReturn:
        raise Unscoped("a tenant session does no bulk writes: add the objects")

    def bulk_insert_mappings(self, *_: object, **__: object) -> NoReturn:
        raise Unscoped("a tenant session does no bulk writes: add the objects")

    def bulk_update_mappings(self, *_: object, **__: object) -> NoReturn:
        raise Unscoped("a tenant session does no bulk writes: change the objects")


@event.listens_for(TenantSession, "do_orm_execute")
def _confine(state: ORMExecuteState) -> None:
    if not state.is_orm_statement or state.is_from_statement:
        raise Unscoped("only ORM statements in a tenant session")
    if state.is_insert or state.is_executemany:
        raise Unscoped("a tenant session does no bulk writes: add or change the objects")
    if state.is_column_load:
        return  # more columns of an object that this session was allowed to load
    session = state.session
    assert isinstance(session, TenantSession)
    tenant_id = session.tenant_id
    refuse_unreachable(state.statement)
    state.statement = state.statement.options(
        with_loader_criteria(TenantOwned, lambda row: row.tenant_id == tenant_id, include_aliases=True)
    )
    _keep_to_kind(state)


@event.listens_for(PlatformSession, "do_orm_execute")
def _keep_to_kind(state: ORMExecuteState) -> None:
    """Of objects that the session was allowed to load, columns are loaded as they are; so is what is refreshed."""
    if not state.is_orm_statement or state.is_from_statement or state.is_insert or state.is_column_load:
        return
    if not state.is_executemany and not state.execution_options.get(_EVERY_KIND, False):
        state.statement = state.statement.options(_OWN_KIND)


@event.listens_for(TenantSession, "before_flush")
def _keep_inside(session: Session, _: UOWTransaction, __: object) -> None:
    assert isinstance(session, TenantSession)
    for row in (*session.new, *session.dirty, *session.deleted):
        if not isinstance(row, TenantOwned):
            raise Unscoped(f"{type(row).__name__} is not TenantOwned: a tenant session does not write it")
        if row.tenant_id is None and row in session.new:
            row.tenant_id = session.tenant_id
        if row.tenant_id != session.tenant_id or inspect(row).attrs.tenant_id.history.deleted:
            raise Unscoped(f"{type(row).__name__} of another tenant")
