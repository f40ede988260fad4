"""The operator's side of the simulation: what is broken, and the switches. JSON over HTTP, for `starvc sim`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header
from fastapi.responses import JSONResponse

from api.simulation.cloud import SimulatedCloud
from api.simulation.exporter import HOST_PATH, LOOPBACK, VM_PATH
from core.drivers.simulated.faults import read
from core.errors import Conflict, Fault, Forbidden, Invalid, Unauthorised

Authorise = Callable[[str], None]
"""Given the value of KEY_TOKEN, empty when there is none; raises Unauthorised or Forbidden."""

Token = Annotated[str, Header(alias="KEY_TOKEN", convert_underscores=False)]

_STATUS: dict[type[Fault], int] = {Unauthorised: 401, Forbidden: 403, Conflict: 409}


def create_router(simulation: SimulatedCloud, authorise: Authorise) -> APIRouter:
    """GET /simulation, GET /simulation/targets (Prometheus' `http_sd`), POST /simulation/{action} {target, device}."""
    router = APIRouter(prefix="/simulation", tags=["simulation"])

    @router.get("")
    def status(key_token: Token = "") -> JSONResponse:
        return _answer(key_token, lambda: asdict(simulation.status()))

    @router.get("/targets")
    def list_targets(key_token: Token = "") -> JSONResponse:
        return _answer(key_token, lambda: targets(simulation))

    @router.post("/{action}")
    def inject(
        action: str,
        target: Annotated[str, Body()] = "",
        device: Annotated[str | None, Body()] = None,
        key_token: Token = "",
    ) -> JSONResponse:
        def apply() -> dict[str, str]:
            fault = read(action, target, device)
            simulation.apply(fault)
            return {"action": fault.action, "target": fault.target}

        return _answer(key_token, apply)

    def _answer(key_token: str, work: Callable[[], Any]) -> JSONResponse:
        try:
            authorise(key_token)
            return JSONResponse(work())
        except Fault as refusal:
            return JSONResponse(_explained(refusal), _STATUS.get(type(refusal), 400))

    return router


def _explained(refusal: Fault) -> dict[str, str]:
    detail = {"field": refusal.field, "allowed": refusal.allowed} if isinstance(refusal, Invalid) else {}
    return {"error": str(refusal), **detail}


def targets(simulation: SimulatedCloud) -> list[dict[str, Any]]:
    """Both pages of every host as Prometheus reads them from `file_sd` or `http_sd`."""
    pages = (("node", HOST_PATH), ("libvirt", VM_PATH))
    return [
        {"targets": [f"{LOOPBACK}:{port}"], "labels": {"__metrics_path__": path, "exporter": exporter, "host_id": host}}
        for host, port in simulation.ports().items()
        for exporter, path in pages
    ]
