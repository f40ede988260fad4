"""`/metrics` and `/health`, which every process answers, whatever its role."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from api.serving import BackgroundServer
from core.metrics import REGISTRY

_END: Final = b"# EOF\n"
"""The last line of a page in the OpenMetrics format."""


def status_server(listener: socket.socket) -> BackgroundServer:
    """Of a process that answers nothing else."""
    return BackgroundServer("status", Starlette(routes=routes(REGISTRY)), [listener])


def routes(registry: CollectorRegistry, more: Callable[[], bytes] = bytes) -> list[Route]:
    """`more` gives text that follows that of the registry."""
    return [Route("/metrics", _metrics(registry, more)), HEALTH]


def _metrics(registry: CollectorRegistry, more: Callable[[], bytes]) -> Callable[[Request], Response]:
    """A plain function: it runs in a worker thread, for thousands of VMs take their time."""

    def show(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        own = encode(registry)
        page = own.removesuffix(_END)
        return Response(page + more() + own[len(page) :], headers={"content-type": content_type})

    return show


async def _health(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


HEALTH: Final = Route("/health", _health)
