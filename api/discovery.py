"""What is to be scraped, for collectors in other processes and for any Prometheus: its HTTP service discovery."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api.operator_json import Authorise, Token, answered
from core.hosts.targets import Target, as_file_sd

PATH = "/targets"


def create_router(targets: Callable[[], tuple[Target, ...]], authorise: Authorise) -> APIRouter:
    """GET /targets: the document of Prometheus's `http_sd`."""
    router = APIRouter(tags=["targets"])

    @router.get(PATH)
    def discover(key_token: Token = "") -> JSONResponse:
        return answered(authorise, key_token, lambda: as_file_sd(targets()))

    return router
