"""The HTTP surface of the product: the wire, `/metrics`, `/health`, the console, and the simulation's switches."""

from __future__ import annotations

import socket
from collections.abc import Callable

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.middleware.gzip import GZipMiddleware

from aggregator.rules.explain import Memory
from api import console, discovery, explain, status
from api.cloud_metrics import CloudPage
from api.console_proxy import ConsoleProxy
from api.serving import BackgroundServer, trusted
from api.simulation import SimulatedCloud, create_router
from api.wire.app import mount
from api.wire.frame import Services
from core import __version__
from core.errors import Forbidden
from core.metrics import REGISTRY
from core.secrets import key_ring
from core.tenancy.tokens import authenticate


def create_app(
    services: Services,
    registry: CollectorRegistry,
    simulation: SimulatedCloud | None,
    cloud: Callable[[], bytes] = bytes,
    memory: Memory | None = None,
) -> FastAPI:
    """The app of one process. `simulation` None: it has no switches. `cloud` gives the collected fields as text, for
    `/metrics`; `memory` the rules' last evaluations, where this process makes them."""
    app = FastAPI(title="starvc", version=__version__, openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(GZipMiddleware, minimum_size=4096, compresslevel=1)
    app.router.routes.extend(status.routes(registry, cloud))
    mount(app, services)
    app.include_router(discovery.create_router(discovery.inventory(services.database), _platform_only(services)))
    if simulation is not None:
        app.include_router(create_router(simulation, _platform_only(services)))
    explained = explain.afresh(services) if memory is None else memory.explain
    app.include_router(explain.create_router(explained, _platform_only(services)))
    app.router.routes.append(ConsoleProxy(services).route())
    app.router.routes.extend(console.routes())
    return app


def api_server(
    services: Services, cloud: SimulatedCloud | None, listener: socket.socket, memory: Memory | None = None
) -> BackgroundServer:
    """The app of one process as a part of it, with all collected fields on `/metrics`."""
    settings = services.settings
    fields = CloudPage(services.database, services.store, services.clock, settings.scrape_interval)
    app = create_app(services, REGISTRY, cloud, fields.render, memory)
    return BackgroundServer("api", app, [listener], trusted(settings.trusted_proxies))


def _platform_only(services: Services) -> Callable[[str], None]:
    keys = key_ring(services.settings)

    def authorise(token: str) -> None:
        if not authenticate(services.database, keys, token.strip(), services.clock.now()).is_platform:
            raise Forbidden("this needs a platform token")

    return authorise
