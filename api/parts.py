"""What processes of the product are put together from, whether one does everything (`up`) or one thing (`roles`).

What is opened or started here is closed and stopped by the caller's stack, in the reverse order.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final, Protocol

from aggregator.rules.source import RulesInvalid
from api import local_host
from api.agent import agent_server
from api.serving import listen
from api.simulation import SimulatedCloud, attached, outer, served, storages, templates
from api.simulation.inventory import DEMO_TENANT, register
from api.simulation.screens import Screens
from api.wire.frame import Services
from collector.disk_queue import DiskQueue, QueueInUse
from core.clock import SystemClock
from core.compute import models
from core.context import Caller, Context, Role
from core.db.engine import open_database
from core.db.migrations import SchemaTooNew
from core.drivers.simulated.compute import SimulatedCompute
from core.errors import Fault
from core.sealing import sealing_keys
from core.settings import Settings
from core.tasks.context import Runtime
from core.tasks.engine import TaskEngine
from core.tenancy.tokens import ensure_platform_token, ensure_tenant_token
from core.timeseries.opening import open_store
from core.timeseries.recent import RecentStore
from core.timeseries.store import StoreUnavailable

SERIES_FOLDER: Final = "series"
QUEUE_FILE: Final = "queue/samples.db"
DEMO_TOKEN_FILE: Final = "demo-token"  # noqa: S105 (the name of a file)
REFUSALS: Final = (OSError, ValueError, Fault, StoreUnavailable, RulesInvalid, SchemaTooNew, QueueInUse)
"""What a start may be refused with; the text says why."""


class Part(Protocol):
    """Something that runs between `start` and `stop`."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """`engine` None: there is nothing that VMs could run on. `platform_token` only when it has just been made;
    `demo_token` when there is a simulation and its token is in this data folder."""

    services: Services
    cloud: SimulatedCloud | None
    engine: TaskEngine | None
    platform_token: str | None
    demo_token: str | None


def opened(settings: Settings, parts: ExitStack, *, alone: bool) -> Opened:
    """What an API process stands on: stores, the schema, the simulation and its inventory, the engine of its tasks,
    not started yet. `alone`: no other process writes samples."""
    services, platform_token = migrated(settings, parts, alone=alone)
    cloud = simulation(services, parts)
    demo_token = _fill_inventory(services, cloud, parts)
    engine = _task_engine(services, cloud, parts)
    return Opened(replace(services, tasks=engine), cloud, engine, platform_token, demo_token)


def migrated(settings: Settings, parts: ExitStack, *, alone: bool) -> tuple[Services, str | None]:
    """The stores, with the schema of this version; and the platform token, if this is the first start."""
    services = _services(settings, parts, alone=alone)
    services.database.migrate()
    with services.database.founding() as session:
        models.seed(session)
        return services, ensure_platform_token(session, settings, services.clock.now())


def listening(settings: Settings, parts: ExitStack) -> socket.socket:
    """Bound before anything else: a port in use is refused at once. Raises OSError."""
    listener = listen(settings.host, settings.port)
    parts.callback(listener.close)
    return listener


def run(parts: ExitStack, *started: Part | None) -> None:
    """Each is started when those before it run, and stopped before them."""
    for part in started:
        if part is not None:
            part.start()
            parts.callback(part.stop)


def sample_queue(settings: Settings, parts: ExitStack) -> DiskQueue:
    """Where samples wait while a time-series server is away. Raises QueueInUse, OSError."""
    queue = DiskQueue(settings.data_dir / QUEUE_FILE, settings.queue_limit_mb * 1024 * 1024)
    parts.callback(queue.close)
    return queue


def _services(settings: Settings, parts: ExitStack, *, alone: bool) -> Services:
    """`alone`: no other process writes samples, so that the last minutes may be kept in memory."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = open_store(settings, settings.data_dir / SERIES_FOLDER, SystemClock())
    store = RecentStore(store) if alone else store
    parts.callback(store.close)
    database = open_database(settings)
    parts.callback(database.close)
    return Services(database, store, SystemClock(), settings)


def simulation(services: Services, parts: ExitStack) -> SimulatedCloud | None:
    """One's own, or a share in another process's; None: there is none. Raises NotFound, Conflict, OSError."""
    settings = services.settings
    if settings.sim_dir is not None:
        return parts.enter_context(attached(settings.sim_dir, services.clock))
    if settings.sim_hosts == 0:
        return None
    size = settings.sim_seed, settings.sim_hosts, settings.sim_vms
    return parts.enter_context(served(*size, settings.data_dir, services.clock, settings.sim_address))


def _fill_inventory(services: Services, cloud: SimulatedCloud | None, parts: ExitStack) -> str | None:
    """The demo tenant's token, when there is a simulation and its token is in this data folder."""
    now = services.clock.now()
    agent = None
    if services.settings.agent:
        agent = agent_server(listen("127.0.0.1", 0))
        agent.start()
        parts.callback(agent.stop)
    with services.database.founding() as session:
        if agent is not None:
            local_host.register(session, agent.port, now)
        if cloud is None:
            return None
        is_first = register(session, cloud, now)
        templates.register(session, cloud, now, ship=is_first)
        if is_first:
            caller = Caller(Role.PLATFORM, "simulation")
            outer.register(Context(caller, session, services.clock, services.store, services.settings))
        storages.register(session, cloud.centre, now)
        return ensure_tenant_token(session, services.settings, DEMO_TENANT, DEMO_TOKEN_FILE, now)


def _task_engine(services: Services, cloud: SimulatedCloud | None, parts: ExitStack) -> TaskEngine | None:
    """None: there is nothing that VMs could run on."""
    if cloud is None:
        return None
    screens = Screens(cloud, sealing_keys(services.settings))
    run(parts, screens)
    driver = SimulatedCompute(cloud, services.settings.sim_task_seconds, screens)
    return TaskEngine(Runtime(services.database, driver, services.clock, services.settings))
