"""The simulator as a process of its own: pages on their ports, the control API on another, and a file that says where
all is."""

from __future__ import annotations

import hmac
import secrets
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
from fastapi import FastAPI

from api.serving import BackgroundServer, listen
from api.simulation.cloud import SimulatedCloud, served
from api.simulation.control import create_router, targets
from api.simulation.exporter import LOOPBACK
from api.status import HEALTH
from core.clock import SystemClock
from core.errors import Unauthorised


@dataclass(frozen=True, slots=True)
class Running:
    """`control_url` is what `starvc sim --url` takes; `token` opens it."""

    simulation: SimulatedCloud
    control_url: str
    token: str


@contextmanager
def serving(
    seed: int, hosts: int, vms: int, data_dir: Path | None, *, address: str = LOOPBACK, port: int = 0, token: str = ""
) -> Iterator[Running]:
    """Up inside the block. `port` 0 picks a free one; an empty token is replaced by a new one; without a folder nothing
    is kept."""
    opened = token or secrets.token_urlsafe(24)
    with ExitStack() as parts:
        folder = data_dir or Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="starvc-sim-")))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        simulation = parts.enter_context(served(seed, hosts, vms, folder, SystemClock(), address))
        app = FastAPI(title="Simulated data centre", openapi_url=None)
        app.include_router(create_router(simulation, lambda given: _authorise(given, opened)))
        app.router.routes.append(HEALTH)
        server = BackgroundServer("simulation-control", app, [listen(address, port)])
        server.start()
        parts.callback(server.stop)
        yield Running(simulation, f"http://{address}:{server.port}", opened)


def run(running: Running, port_file: Path | None, stop: threading.Event) -> None:
    """Write where the pages are, in the form of Prometheus' `file_sd`, and serve until `stop` is set."""
    if port_file is not None:
        draft = port_file.with_suffix(".new")
        draft.write_bytes(orjson.dumps(targets(running.simulation), option=orjson.OPT_INDENT_2))
        draft.replace(port_file)
    stop.wait()


def _authorise(given: str, token: str) -> None:
    if not hmac.compare_digest(given.encode(), token.encode()):
        raise Unauthorised("KEY_TOKEN is missing or is not this simulator's token")
