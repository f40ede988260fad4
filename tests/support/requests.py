"""Requests without a wire: domain functions called as the frame calls them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from sqlalchemy.orm import Session

from core.clock import VirtualClock
from core.context import Caller, Context, Role
from core.db.engine import Database
from core.settings import Settings
from core.timeseries.store import TimeSeriesStore

R = TypeVar("R")
A = TypeVar("A")


@dataclass
class Desk:
    """Calls domain functions as the platform or as a tenant, each in its own transaction."""

    database: Database
    settings: Settings
    clock: VirtualClock = field(default_factory=VirtualClock)

    def platform(self, deed: Callable[[Context, R], A], request: R) -> A:
        with self.database.platform(write=True) as session:
            return deed(self._context(Caller(Role.PLATFORM, "token-platform"), session), request)

    def tenant(self, tenant_id: str, deed: Callable[[Context, R], A], request: R) -> A:
        with self.database.tenant(tenant_id, write=True) as session:
            return deed(self._context(Caller(Role.TENANT, f"token-{tenant_id}", tenant_id), session), request)

    def _context(self, caller: Caller, session: Session) -> Context:
        return Context(caller, session, self.clock, cast("TimeSeriesStore", None), self.settings)
