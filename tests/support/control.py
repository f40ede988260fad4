"""A control plane on a simulated data centre, without a wire and without threads: tasks are carried out when somebody
says so. The same on SQLite and PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.clock import VirtualClock
from core.compute import models
from core.compute.opening import OpenVms, open_vms
from core.compute.rows import Vm
from core.context import Caller, Context, Role, Started
from core.db.engine import Database
from core.db.session import of_every_kind
from core.drivers.simulated.compute import SimulatedCompute
from core.network.vpcs import CreateVpc
from core.network.vpcs import create as create_vpc
from core.settings import Settings
from core.tasks.context import Runtime
from core.tasks.engine import TaskEngine
from core.tasks.rows import Task, TaskState
from core.tenancy.rows import Quota
from core.tenancy.tenants import CreateTenant
from core.tenancy.tenants import create as create_tenant
from core.timeseries.store import TimeSeriesStore
from tests.support.books import mistakes
from tests.support.world import MemoryWorld, fill_inventory

R = TypeVar("R")
A = TypeVar("A")


@dataclass
class Control:
    """`tenant` has 100 CPUs, 200,000 MB, 2000 GB and 3 subnets; `vpc` is the first of them."""

    database: Database
    folder: Path
    clock: VirtualClock = field(default_factory=VirtualClock)
    more: dict[str, object] = field(default_factory=dict)
    driver_kind: type[SimulatedCompute] = SimulatedCompute

    def __post_init__(self) -> None:
        self.settings = Settings(data_dir=self.folder, **self.more)  # type: ignore[arg-type]
        self.world = MemoryWorld(self.clock, hosts=2, vms=0)
        self._start()
        with self.database.platform(write=True) as session:
            models.seed(session)
            fill_inventory(session, self.world, self.clock)
        room = CreateTenant(name="t", cpu_limit=100, memory_mb_limit=200_000, storage_gb_limit=2000, subnets_limit=3)
        self.tenant = self.platform(create_tenant, room).id
        self.vpc = self.do(create_vpc, CreateVpc(name="net")).id

    def _start(self) -> None:
        self.driver = self.driver_kind(self.world, 0)
        self.engine = TaskEngine(Runtime(self.database, self.driver, self.clock, self.settings))

    def restart(self, driver_kind: type[SimulatedCompute] = SimulatedCompute) -> None:
        """The server dies and another one comes; the world lives on."""
        os.close(self.engine._server._file)
        self.driver_kind = driver_kind
        self._start()

    def close(self) -> None:
        self.engine.stop()

    def _context(self, caller: Caller, session: Session) -> Context:
        store = cast("TimeSeriesStore", None)
        return Context(caller, session, self.clock, store, self.settings, self.engine.server_id, self.driver)

    def platform(self, deed: Callable[[Context, R], A], request: R) -> A:
        with self.database.platform(write=True) as session:
            return deed(self._context(Caller(Role.PLATFORM, "token"), session), request)

    def do(self, deed: Callable[[Context, R], A], request: R) -> A:
        """As the tenant."""
        with self.database.tenant(self.tenant, write=True) as session:
            return deed(self._context(Caller(Role.TENANT, "token", self.tenant), session), request)

    def finish(self, deed: Callable[[Context, R], Started[A]], request: R) -> tuple[A, TaskState, str]:
        """The same, and its task to the end: what was answered, how the task ended and why."""
        started = self.do(deed, request)
        self.settle()
        return started.result, *self.ending(started.task_id)

    def settle(self) -> None:
        """Everything that waits is carried out; settlements too, whenever they are due."""
        while self.engine.step():
            pass

    def open(self, **want: object) -> list[str]:
        """VMs that run."""
        wish: dict[str, object] = {"model": "debian-12", "vcpus": 2, "memory_mb": 1024, "vpc_id": self.vpc, **want}
        opened = self.do(open_vms, OpenVms(**wish))  # type: ignore[arg-type]
        self.settle()
        return [vm.id for vm in opened]

    def ending(self, task_id: str) -> tuple[TaskState, str]:
        with self.database.platform() as session:
            task = session.scalars(select(Task).where(Task.id == task_id)).one()
            return task.state, task.reason

    def vm(self, vm_id: str) -> Vm:
        """Or a template."""
        with self.database.platform() as session:
            return session.scalars(of_every_kind(select(Vm)).where(Vm.id == vm_id)).one()

    def used(self) -> tuple[int, int, int, int]:
        """CPUs, MB, GB and subnets that the quota counts."""
        with self.database.platform() as session:
            quota = session.get_one(Quota, self.tenant)
            return quota.cpu_used, quota.memory_mb_used, quota.storage_gb_used, quota.subnets_used

    def check(self) -> None:
        """What holds whenever nothing is under way."""
        with self.database.platform() as session:
            assert mistakes(session, self.world) == []
