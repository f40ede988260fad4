"""The parts as processes of their own: any number of each, on one PostgreSQL and one store that all of them reach.

Nothing here is shared but the two: an API process accepts and carries out (`core.tasks` divides the work), a collector
scrapes its shard, aggregators take leases: one for the lines, one for the hosts, rules and alarms. Each process serves
`/metrics` and `/health`. Whatever dies, the others go on; who takes what over is said in docs/operations.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Final

import structlog

from aggregator.run import Aggregator
from aggregator.tenure import Tenure
from api import jobs
from api.discovery import inventory
from api.parts import listening, migrated, opened, run, sample_queue, simulation
from api.serving import BackgroundServer
from api.status import status_server
from api.wire.frame import TOKEN, Services
from collector.run import Collector
from collector.shards import Shard, ShardSource
from collector.targets import FileSource, HttpSource, InventorySource, TargetSource
from core.clock import SystemClock
from core.db.engine import open_database
from core.drivers.power import HostPower
from core.errors import Invalid
from core.ids import new_id
from core.leases.fenced import FencedDatabase, FencedStore
from core.leases.leases import Claimant
from core.settings import Settings
from core.timeseries.opening import is_served, open_store

_log = structlog.get_logger(__name__)

LINES: Final = "lines"
ALARMS: Final = "alarms"


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """The API, and the tasks that it accepts. Raises one of `parts.REFUSALS`."""
    from api.app import api_server  # the other roles need not wait for all its operations

    _shared(settings)
    with ExitStack() as parts:
        listener = listening(settings, parts)
        base = opened(settings, parts, alone=False)
        networks = () if base.cloud is None else jobs.network_jobs(base.services, base.cloud.network, parts)
        upkeep = Aggregator([*jobs.control_jobs(base.services, parts), *networks])
        server = api_server(base.services, base.cloud, listener)
        run(parts, base.engine, upkeep, server)
        yield _up("api", settings, server)


@contextmanager
def collecting(settings: Settings, shard: Shard, targets: str) -> Iterator[str]:
    """One shard of the targets. `targets`: a URL, a file, or empty for the database. Raises one of `parts.REFUSALS`."""
    with ExitStack() as parts:
        listener = listening(settings, parts)
        _shared_store(settings)
        store = open_store(settings, settings.data_dir, SystemClock())
        parts.callback(store.close)
        source = ShardSource(_source(settings, targets, parts), shard)
        queue = sample_queue(settings, parts)
        collector = Collector(source, store, SystemClock(), settings, seed=_seed(shard), spool=queue)
        server = status_server(listener)
        run(parts, collector, server)
        yield _up("collector", settings, server)


@contextmanager
def aggregating(settings: Settings) -> Iterator[str]:
    """Lines and alarms, as far as this process has their leases. Raises one of `parts.REFUSALS`."""
    _shared(settings)
    with ExitStack() as parts:
        listener = listening(settings, parts)
        services, _ = migrated(settings, parts, alone=False)
        power = None if settings.sim_dir is None else simulation(services, parts)
        server = status_server(listener)
        run(parts, server)
        owner = new_id("aggregator")
        for name, begin in ((LINES, _lines), (ALARMS, partial(_alarms, power))):
            lease = Claimant(services.database, services.clock, name, owner, settings.lease_seconds)
            run(parts, Tenure(name, lease, settings.lease_seconds, _work(begin, services, lease)))
        yield _up("aggregator", settings, server)


Build = Callable[[Services, ExitStack], Aggregator]


def _lines(services: Services, _parts: ExitStack) -> Aggregator:
    return Aggregator([jobs.line_job(services)])


def _alarms(power: HostPower | None, services: Services, parts: ExitStack) -> Aggregator:
    alarms, _ = jobs.alarm_jobs(services, power, parts)
    return Aggregator(alarms)


def _work(build: Build, services: Services, lease: Claimant) -> Callable[[], Callable[[], None]]:
    """What a tenure begins: the jobs anew, on a database and a store that refuse who has lost the lease."""

    def begin() -> Callable[[], None]:
        with ExitStack() as opening:
            database = FencedDatabase(services.database, lease)
            opening.callback(database.close)
            fenced = replace(services, database=database, store=FencedStore(services.store, lease))
            aggregator = build(fenced, opening)
            aggregator.start()
            opening.callback(aggregator.stop)
            return opening.pop_all().close

    return begin


def _source(settings: Settings, targets: str, parts: ExitStack) -> TargetSource:
    if targets.startswith(("http://", "https://")):
        headers = {} if settings.platform_token is None else {TOKEN: settings.platform_token}
        return HttpSource(targets, headers=headers)
    if targets:
        return FileSource(Path(targets))
    _shared(settings)
    database = open_database(settings)
    parts.callback(database.close)
    return InventorySource(inventory(database))


def _shared(settings: Settings) -> None:
    """Raises Invalid when another process could not see what this one writes."""
    _shared_store(settings)
    if settings.database_url is None or not settings.database_url.startswith("postgres"):
        raise Invalid("database_url", "SQLite belongs to one process", "postgresql://USER:PASSWORD@HOST/NAME")


def _shared_store(settings: Settings) -> None:
    if not is_served(settings):
        raise Invalid("store", "the embedded store belongs to one process", "the URL of a store that all reach")


def _seed(shard: Shard) -> int:
    """Shards need no common slots; restarts keep them."""
    return int.from_bytes(blake2b(f"{shard.index}/{shard.count}".encode(), digest_size=4).digest())


def _up(role: str, settings: Settings, server: BackgroundServer) -> str:
    url = f"http://{settings.host}:{server.port}"
    _log.info(f"{role}_up", url=url)
    return url
