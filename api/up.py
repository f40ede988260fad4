"""The whole product in one process, put together here and nowhere else.

Everything that can be refused (a port in use, a folder that another process holds, bad rules, a short token) is refused
before anything runs. Parts start in the order in which they need each other and stop in the reverse order, however the
process is told to: the API last up and first down, so that whoever is answered is answered by a whole product.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from aggregator.rules.source import RulesInvalid
from api import local_host
from api.agent import agent_server
from api.app import create_app
from api.cloud_metrics import CloudPage
from api.jobs import aggregator
from api.serving import BackgroundServer, listen, trusted
from api.simulation import SimulatedCloud, outer, storages, templates
from api.simulation.inventory import DEMO_TENANT, register
from api.wire.frame import Services
from collector.disk_queue import DiskQueue, QueueInUse
from collector.run import Collector
from collector.targets import InventorySource, SourceUnavailable
from core.clock import SystemClock
from core.compute import models
from core.context import Caller, Context, Role
from core.db.engine import Database, open_database
from core.db.migrations import SchemaTooNew
from core.drivers.simulated.compute import SimulatedCompute
from core.errors import Fault
from core.hosts.targets import Target, TargetReader
from core.metrics import REGISTRY
from core.secrets import key_ring
from core.settings import Settings
from core.tasks.context import Runtime
from core.tasks.engine import TaskEngine
from core.tenancy.tokens import ensure_platform_token, ensure_tenant_token
from core.timeseries.opening import is_served, open_store
from core.timeseries.recent import RecentStore
from core.timeseries.store import StoreUnavailable

_log = structlog.get_logger(__name__)

SERIES_FOLDER: Final = "series"
QUEUE_FILE: Final = "queue/samples.db"
DEMO_TOKEN_FILE: Final = "demo-token"  # noqa: S105 (the name of a file)
REFUSALS: Final = (OSError, ValueError, Fault, StoreUnavailable, RulesInvalid, SchemaTooNew, QueueInUse)
"""What a start may be refused with; the text says why."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What the operator is told at the start. `platform_token` only when it has just been made."""

    url: str
    platform_token: str | None
    demo_token: str | None
    hosts: int
    vms: int


@contextmanager
def running(settings: Settings) -> Iterator[Announced]:
    """The product is up inside the block. Raises one of REFUSALS: nothing runs then."""
    with ExitStack() as parts:
        listener = listen(settings.host, settings.port)
        parts.callback(listener.close)
        services = open_services(settings, parts)
        platform_token = migrated(services)
        cloud = simulated(services, parts)
        demo_token = fill_inventory(services, cloud, parts)
        engine = task_engine(services, cloud)
        services = replace(services, tasks=engine)
        watching = aggregator(services, cloud, parts, None if cloud is None else cloud.network)
        reader = TargetReader()
        source = InventorySource(lambda: inventory_targets(services.database, reader))
        seed = int(key_ring(settings).digest("scrape slots")[:8], 16)
        spool = sample_queue(settings, parts) if is_served(settings) else None
        collector = Collector(source, services.store, services.clock, settings, seed=seed, spool=spool)
        fields = CloudPage(services.database, services.store, services.clock, settings.scrape_interval)
        app = create_app(services, REGISTRY, cloud, fields.render, watching.memory)
        server = BackgroundServer("api", app, [listener], trusted(settings.trusted_proxies))
        if engine is not None:
            engine.start()
            parts.callback(engine.stop)
        for part in (collector, watching.aggregator, server):
            part.start()
            parts.callback(part.stop)
        url = f"http://{settings.host}:{server.port}"
        _log.info("product_up", url=url, data_dir=str(settings.data_dir))
        yield Announced(url, platform_token, demo_token, settings.sim_hosts, settings.sim_vms if cloud else 0)
        _log.info("product_stopping")


def until_told(stop: threading.Event) -> None:
    """Returns after SIGTERM or SIGINT, or once `stop` is set."""

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    stop.wait()


def open_services(settings: Settings, parts: ExitStack, *, alone: bool = True) -> Services:
    """`alone`: no other process writes samples, so that the last minutes may be kept in memory."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = open_store(settings, settings.data_dir / SERIES_FOLDER, SystemClock())
    store = RecentStore(store) if alone else store
    parts.callback(store.close)
    database = open_database(settings)
    parts.callback(database.close)
    return Services(database, store, SystemClock(), settings)


def sample_queue(settings: Settings, parts: ExitStack) -> DiskQueue:
    """Where samples wait while a time-series server is away. Raises QueueInUse, OSError."""
    queue = DiskQueue(settings.data_dir / QUEUE_FILE, settings.queue_limit_mb * 1024 * 1024)
    parts.callback(queue.close)
    return queue


def migrated(services: Services) -> str | None:
    """The platform token, if this is the first start."""
    services.database.migrate()
    with services.database.platform(write=True) as session:
        models.seed(session)
        return ensure_platform_token(session, services.settings, services.clock.now())


def simulated(services: Services, parts: ExitStack) -> SimulatedCloud | None:
    settings = services.settings
    if settings.sim_hosts == 0:
        return None
    cloud = SimulatedCloud(settings.sim_seed, settings.sim_hosts, settings.sim_vms, settings.data_dir, services.clock)
    cloud.start()
    parts.callback(cloud.stop)
    return cloud


def fill_inventory(services: Services, cloud: SimulatedCloud | None, parts: ExitStack) -> str | None:
    """The demo tenant's token, when there is a simulation."""
    now = services.clock.now()
    agent = None
    if services.settings.agent:
        agent = agent_server(listen("127.0.0.1", 0))
        agent.start()
        parts.callback(agent.stop)
    with services.database.platform(write=True) as session:
        if agent is not None:
            local_host.register(session, agent.port, now)
        if cloud is None:
            return None
        is_first = register(session, cloud, now)
        templates.register(session, cloud, now, ship=is_first)
        if is_first:
            caller = Caller(Role.PLATFORM, "simulation")
            outer.register(Context(caller, session, services.clock, services.store, services.settings))
        storages.register(session, cloud.centre, services.settings, now)
        return ensure_tenant_token(session, services.settings, DEMO_TENANT, DEMO_TOKEN_FILE, now)


def task_engine(services: Services, cloud: SimulatedCloud | None) -> TaskEngine | None:
    """None: there is nothing that VMs could run on."""
    if cloud is None:
        return None
    driver = SimulatedCompute(cloud, services.settings.sim_task_seconds)
    return TaskEngine(Runtime(services.database, driver, services.clock, services.settings))


def inventory_targets(database: Database, reader: TargetReader) -> tuple[Target, ...]:
    try:
        with database.platform() as session:
            return reader.read(session)
    except SQLAlchemyError as problem:
        raise SourceUnavailable(f"the inventory cannot be read: {problem}") from problem
