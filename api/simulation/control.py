"""The operator's side of the simulation: what is broken, and the switches. JSON over HTTP, for `starvc sim`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body
from fastapi.responses import JSONResponse

from api.operator_json import Authorise, Token, answered
from api.simulation.cloud import SimulatedCloud
from api.simulation.exporter import HOST_PATH, VM_PATH
from api.simulation.ping import ping
from api.simulation.ping import read as read_probe
from core.drivers.simulated.faults import read


def create_router(simulation: SimulatedCloud, authorise: Authorise) -> APIRouter:
    """GET /simulation, GET /simulation/targets (Prometheus' `http_sd`), GET /simulation/ping,
    POST /simulation/{action} {target, device}."""
    router = APIRouter(prefix="/simulation", tags=["simulation"])

    @router.get("")
    def status(key_token: Token = "") -> JSONResponse:
        return answered(authorise, key_token, lambda: asdict(simulation.status()))

    @router.get("/targets")
    def list_targets(key_token: Token = "") -> JSONResponse:
        return answered(authorise, key_token, lambda: targets(simulation))

    @router.get("/ping")
    def follow(
        target: str, source: str = "", port: int = 0, protocol: str = "", outside: str = "", key_token: Token = ""
    ) -> JSONResponse:
        return answered(
            authorise, key_token, lambda: asdict(ping(simulation, read_probe(source, target, port, protocol, outside)))
        )

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

        return answered(authorise, key_token, apply)

    return router


def targets(simulation: SimulatedCloud) -> list[dict[str, Any]]:
    """Both pages of every host as Prometheus reads them from `file_sd` or `http_sd`."""
    pages = (("node", HOST_PATH), ("libvirt", VM_PATH))
    where = simulation.whereabouts
    return [
        {
            "targets": [f"{where.address}:{port}"],
            "labels": {"__metrics_path__": path, "exporter": exporter, "host_id": host},
        }
        for host, port in where.ports.items()
        for exporter, path in pages
    ]
