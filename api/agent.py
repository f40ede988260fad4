"""This machine's own page over HTTP, in node_exporter's names: `starvc agent`, and the local host of `starvc up`."""

from __future__ import annotations

import socket

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.serving import BackgroundServer
from collector.agent.page import Machine

PATH = "/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def agent_server(listener: socket.socket) -> BackgroundServer:
    """Serves the page on a bound socket once it is started."""
    machine = Machine()

    def page(_request: Request) -> Response:
        return Response(machine.render(), headers={"content-type": CONTENT_TYPE})

    app = Starlette(routes=[Route(PATH, page)], middleware=[Middleware(GZipMiddleware, compresslevel=1)])
    return BackgroundServer("agent", app, [listener])
