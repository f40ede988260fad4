"""What is to be scraped, for collectors in other processes and for any Prometheus: its HTTP service discovery."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from api.operator_json import Authorise, Token, answered
from collector.targets import SourceUnavailable
from core.db.engine import Database
from core.hosts.targets import Target, TargetReader, as_file_sd

PATH = "/targets"


def inventory(database: Database) -> Callable[[], tuple[Target, ...]]:
    """What reads the targets of the inventory. It raises SourceUnavailable."""
    reader = TargetReader()

    def read() -> tuple[Target, ...]:
        try:
            with database.platform() as session:
                return reader.read(session)
        except SQLAlchemyError as problem:
            raise SourceUnavailable(f"the inventory cannot be read: {problem}") from problem

    return read


def create_router(targets: Callable[[], tuple[Target, ...]], authorise: Authorise) -> APIRouter:
    """GET /targets: the document of Prometheus's `http_sd`."""
    router = APIRouter(tags=["targets"])

    @router.get(PATH)
    def discover(key_token: Token = "") -> JSONResponse:
        return answered(authorise, key_token, lambda: as_file_sd(targets()))

    return router
