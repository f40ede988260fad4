"""The wire as a part of a FastAPI app: the operations, their description, and an envelope for every other path below
the root.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from api.operations.table import SECTIONS
from api.wire.describe import openapi, page, wadl
from api.wire.frame import Frame, Services
from api.wire.languages import preferred
from api.wire.operation import Section, Table

ROOT = "/starvcenter"
SERVICES = f"{ROOT}/services"
BASE = f"{SERVICES}/cloudresource"
WADL = f"{SERVICES}/application.wadl"
OPENAPI = "/openapi.json"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


def mount(app: FastAPI, services: Services, sections: Sequence[Section] = SECTIONS) -> None:
    """Add everything below `/starvcenter`, and `/openapi.json`, to an app made with `openapi_url=None`."""
    frame = Frame(Table(sections), services)

    async def answer(request: Request) -> Response:
        return await frame.answer(request, request.method, request.path_params["path"].strip("/"))

    async def unknown(request: Request) -> Response:
        return await frame.answer(request, request.method, "")

    app.add_route(SERVICES, _page(sections), methods=["GET"], include_in_schema=False)
    app.add_route(f"{SERVICES}/", _page(sections), methods=["GET"], include_in_schema=False)
    app.add_route(WADL, _wadl(sections), methods=["GET"], include_in_schema=False)
    app.add_route(OPENAPI, _openapi(sections), methods=["GET"], include_in_schema=False)
    app.add_route(f"{BASE}/{{path:path}}", answer, methods=_METHODS, include_in_schema=False)
    for rest in (ROOT, f"{ROOT}/{{path:path}}"):
        app.add_route(rest, unknown, methods=_METHODS, include_in_schema=False)


def create_wire(services: Services, sections: Sequence[Section] = SECTIONS) -> FastAPI:
    """An app with nothing but the wire."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    mount(app, services, sections)
    return app


def _page(sections: Sequence[Section]) -> Callable[[Request], Response]:
    def show(request: Request) -> Response:
        if "_wadl" in request.query_params:
            return _wadl(sections)(request)
        language = preferred(request.query_params.get("lang") or request.headers.get("accept-language"))
        return HTMLResponse(page.page(sections, language, base=_absolute(request), wadl=WADL, openapi=OPENAPI))

    return show


def _wadl(sections: Sequence[Section]) -> Callable[[Request], Response]:
    def show(request: Request) -> Response:
        return Response(wadl.describe(sections, f"{_absolute(request)}/"), media_type="application/vnd.sun.wadl+xml")

    return show


def _absolute(request: Request) -> str:
    """The base URL as the caller reached it."""
    return str(request.base_url).rstrip("/") + BASE


def _openapi(sections: Sequence[Section]) -> Callable[[Request], Response]:
    document = openapi.describe(sections, BASE)

    def show(_request: Request) -> Response:
        return JSONResponse(document)

    return show
