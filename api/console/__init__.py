"""The web console: three static files that speak nothing but the public wire format, with the reader's own token."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles


async def _home(_request: Request) -> RedirectResponse:
    return RedirectResponse("/console/")


def routes() -> list[BaseRoute]:
    """`/` leads to the console."""
    static = StaticFiles(directory=Path(__file__).parent / "static", html=True)
    return [Route("/", _home), Mount("/console", static, name="console")]
