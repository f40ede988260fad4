"""The whole product in one process.

Everything that can be refused (a port in use, a folder that another process holds, bad rules, a short token) is refused
before anything runs. Parts start in the order in which they need each other and stop in the reverse order, however the
process is told to: the API last up and first down, so that whoever is answered is answered by a whole product.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType

import structlog

from api.app import api_server
from api.discovery import inventory
from api.jobs import aggregator
from api.parts import listening, opened, run, sample_queue
from collector.run import Collector
from collector.targets import InventorySource
from core.secrets import key_ring
from core.settings import Settings
from core.timeseries.opening import is_served

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Announced:
    """What the operator is told at the start. `platform_token` only when it has just been made."""

    url: str
    platform_token: str | None
    demo_token: str | None
    hosts: int
    vms: int


@contextmanager
def running(settings: Settings) -> Iterator[Announced]:
    """The product is up inside the block. Raises one of REFUSALS: nothing runs then."""
    with ExitStack() as parts:
        listener = listening(settings, parts)
        base = opened(settings, parts, alone=True)
        services, cloud = base.services, base.cloud
        watching = aggregator(services, cloud, parts, None if cloud is None else cloud.network)
        seed = int(key_ring(settings).digest("scrape slots")[:8], 16)
        spool = sample_queue(settings, parts) if is_served(settings) else None
        source = InventorySource(inventory(services.database))
        collector = Collector(source, services.store, services.clock, settings, seed=seed, spool=spool)
        server = api_server(services, cloud, listener, watching.memory)
        run(parts, base.engine, collector, watching.aggregator, server)
        url = f"http://{settings.host}:{server.port}"
        _log.info("product_up", url=url, data_dir=str(settings.data_dir))
        hosts, vms = (len(cloud.centre.hosts), len(cloud.centre.vms)) if cloud else (0, 0)
        yield Announced(url, base.platform_token, base.demo_token, hosts, vms)
        _log.info("product_stopping")


def until_told(stop: threading.Event) -> None:
    """Returns after SIGTERM or SIGINT, or once `stop` is set."""

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    stop.wait()
