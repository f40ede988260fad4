"""The simulated data centre as a process of its own, so that a product and a peer scrape the same pages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from api.simulation.cloud import served
from api.simulation.inventory import register
from core.clock import SystemClock
from tests.support.process import inject
from tests.support.real import free_port, server
from tests.support.state import database_of

_TOKEN = "a-token-of-the-simulation"


@dataclass(frozen=True)
class Simulation:
    """`targets`: the file of the pages' addresses, as Prometheus reads it."""

    targets: Path
    url: str

    def inject(self, action: str, target: str) -> None:
        inject(self.url, _TOKEN, action, target)


@contextmanager
def simulation(folder: Path, hosts: int, vms: int) -> Iterator[Simulation]:
    """Its inventory is in the database of the data folder `folder`, for a product that has no simulation of its own."""
    folder.mkdir(mode=0o700, exist_ok=True)
    database = database_of(folder)
    database.migrate()
    with served(1, hosts, vms, folder, SystemClock()) as cloud:
        with database.platform(write=True) as session:
            register(session, cloud, SystemClock().now())
        port = free_port()  # while the hosts still hold theirs, which they take again
    database.close()
    running = Simulation(folder / "targets.json", f"http://127.0.0.1:{port}")
    command = [sys.executable, "-m", "api", "sim", "served", "--hosts", str(hosts), "--vms", str(vms)]
    command += ["--data-dir", str(folder), "--port-file", str(running.targets)]
    command += ["--port", str(port), "--token", _TOKEN]
    with server(command, running.targets.exists, folder / "sim.log", seconds=60):
        yield running
