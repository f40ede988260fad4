"""A small cloud behind the wire: two tenants, two hosts, some VMs, the embedded store, and time that stands still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from api.cli import app as command_line
from api.wire.app import create_wire
from api.wire.client import StarVCenter
from api.wire.frame import Services
from core.clock import VirtualClock
from core.compute import models
from core.compute.inventory import ensure_host, ensure_vms
from core.db.engine import Database
from core.drivers.simulated.compute import SimulatedCompute
from core.settings import Settings
from core.tasks.context import Runtime
from core.tasks.engine import TaskEngine
from core.tenancy.tokens import ensure_platform_token
from core.timeseries.embedded.store import EmbeddedStore
from tests.conftest import NewDatabase
from tests.support.inventory import a_host, a_vm
from tests.support.world import MemoryWorld, fill_inventory

PLATFORM_TOKEN = "a-platform-token-for-tests"


class InProcess(httpx.BaseTransport):
    """Sends what a synchronous client sends to an ASGI app, on one event loop."""

    def __init__(self, app: FastAPI, portal: BlockingPortal) -> None:
        self._asgi = httpx.ASGITransport(app)
        self._portal = portal

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def send() -> httpx.Response:
            request.stream = httpx.ByteStream(request.read())
            response = await self._asgi.handle_async_request(request)
            return httpx.Response(response.status_code, headers=response.headers, content=await response.aread())

        return self._portal.call(send)


@dataclass
class Cloud:
    """`alice` owns vm-1 and vm-2, `bob` owns vm-3; all of them run on host-1. VMs that are opened run in `world`, once
    it is connected and somebody calls `settle`."""

    services: Services
    app: FastAPI
    transport: InProcess
    platform: StarVCenter
    alice: StarVCenter
    bob: StarVCenter
    alice_id: str
    bob_id: str
    clock: VirtualClock
    store: EmbeddedStore
    world: MemoryWorld
    engine: TaskEngine

    def connect(self) -> None:
        """The hosts of `world` are in the inventory."""
        with self.services.database.platform(write=True) as session:
            fill_inventory(session, self.world, self.clock)

    def settle(self) -> None:
        """All tasks that wait have been carried out."""
        while self.engine.step():
            pass

    def client(self, token: str, language: str = "zh") -> StarVCenter:
        return StarVCenter("http://cloud", token, language=language, transport=self.transport)

    def http(self, **headers: str) -> httpx.Client:
        """Plain HTTP, for what a well-behaved client never sends."""
        return httpx.Client(base_url="http://cloud", headers=headers, transport=self.transport)


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as running:
        yield running


@pytest.fixture
def make_cloud(tmp_path: Path, new_state: NewDatabase, portal: BlockingPortal) -> Iterator[Callable[..., Cloud]]:
    with ExitStack() as clouds:

        def make(**settings: object) -> Cloud:
            chosen = Settings(**{"data_dir": tmp_path, "timezone": "Asia/Shanghai", **settings})  # type: ignore[arg-type]
            return clouds.enter_context(a_cloud(chosen, new_state(), portal))

        yield make


@contextmanager
def a_cloud(settings: Settings, database: Database, portal: BlockingPortal) -> Iterator[Cloud]:
    """On a database that has its tables already and is its lender's; all else is closed at the end."""
    url = database.url.render_as_string(hide_password=False)
    made = _cloud(replace(settings, database_url=url, platform_token=PLATFORM_TOKEN), database, portal)
    try:
        yield made
    finally:
        made.engine.stop()
        made.store.close()


@pytest.fixture
def cloud(make_cloud: Callable[..., Cloud]) -> Cloud:
    return make_cloud()


def _cloud(settings: Settings, database: Database, portal: BlockingPortal) -> Cloud:
    clock = VirtualClock()
    store = EmbeddedStore(settings.data_dir / "series")
    with database.platform(write=True) as session:
        ensure_platform_token(session, settings, clock.now())
        models.seed(session)
    world = MemoryWorld(clock)
    engine = TaskEngine(Runtime(database, SimulatedCompute(world, 0), clock, settings))
    services = Services(database, store, clock, settings, engine)
    app = create_wire(services)
    transport = InProcess(app, portal)
    platform = StarVCenter("http://cloud", PLATFORM_TOKEN, transport=transport)
    room = dict.fromkeys(("app.cpu.quota", "app.memory.quota", "app.storage.quota", "app.portgroup.quota"), 100_000)
    alice, bob = (
        platform.call("POST", "cloudTenant/create", {"app.name": name, **room}).data for name in ("alice", "bob")
    )
    assert isinstance(alice, dict)
    assert isinstance(bob, dict)
    with database.platform(write=True) as session:
        for number in (1, 2):
            ensure_host(session, a_host(number), clock.now())
        ensure_vms(session, [a_vm(1, alice["app.id"]), a_vm(2, alice["app.id"]), a_vm(3, bob["app.id"])], clock.now())
    clients = (StarVCenter("http://cloud", who["app.token"], transport=transport) for who in (alice, bob))
    ids = (alice["app.id"], bob["app.id"])
    return Cloud(services, app, transport, platform, *clients, *ids, clock, store, world, engine)


Command = Callable[..., Result]


@pytest.fixture
def starvc(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line, with the platform's token; whoever waits for a task waits until all are carried out."""
    monkeypatch.setattr("api.wire.client.StarVCenter", lambda _url, token, *, language: cloud.client(token, language))

    def settle() -> None:
        with capture_logs():  # the server's log does not belong to what the command prints
            cloud.settle()

    monkeypatch.setattr("api.cli_progress._pause", settle)
    return lambda *words, **more: CliRunner(env={"STARVC_PLATFORM_TOKEN": PLATFORM_TOKEN}).invoke(
        command_line, words, **more
    )
