"""Who asks, and what he may use while he is answered."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from core.clock import Clock
    from core.drivers.compute import ComputeDriver
    from core.settings import Settings
    from core.timeseries.store import TimeSeriesStore

T = TypeVar("T")


class Role(StrEnum):
    """A platform token runs the cloud; a tenant token sees and touches its tenant's objects only."""

    PLATFORM = "platform"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a token. `tenant_id` is None for the platform, and only for it."""

    role: Role
    token_id: str
    tenant_id: str | None = None

    @property
    def is_platform(self) -> bool:
        return self.role is Role.PLATFORM


@dataclass(frozen=True, slots=True)
class Context:
    """One request: a session that is scoped to the caller's tenant and lives as long as the request.

    `server_id`: the server that accepts it (`core.tasks`); None where none runs, as on the command line: tasks that are
    submitted there belong to whoever runs them. `driver` None: there is nothing here that VMs could run on.
    `base_url`: under which the caller reached us, without a slash at its end; empty: by none.
    """

    caller: Caller
    session: Session
    clock: Clock
    store: TimeSeriesStore
    settings: Settings
    server_id: str | None = None
    driver: ComputeDriver | None = None
    base_url: str = ""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows of a search, and how many there are in all. `total` None: the answer carries no count."""

    rows: tuple[T, ...]
    total: int | None


@dataclass(frozen=True, slots=True)
class Started(Generic[T]):
    """An accepted task, and what is known about its result already."""

    task_id: str
    result: T
