"""The aggregator of one process, put together: lines, host watch, rules, notifications, and their upkeep."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from random import SystemRandom
from typing import Final

from aggregator.hosts import HostWatch, Outside, host_event_retention
from aggregator.hosts import period as host_period
from aggregator.lines import LineKeeper
from aggregator.notify import config
from aggregator.notify import jobs as notify
from aggregator.notify.config import Notifications
from aggregator.rules.explain import Memory
from aggregator.rules.step import Rules, Surroundings
from aggregator.rules.troubles import Trouble
from aggregator.run import Aggregator, Job
from api.wire.frame import Services
from core.audit import log, refusals
from core.compute import console_tickets as tickets
from core.drivers.network import NetworkDriver
from core.drivers.power import HostPower
from core.hosts.state import Policy as HostPolicy
from core.ids import new_id
from core.network import reconcile
from core.sealing import sealing_keys
from core.settings import Settings
from core.timeseries import policy
from core.zone import zone

LINES_EVERY: Final = 1.0
"""Seconds between two steps of the lines."""
AUDIT_EVERY: Final = 60.0
TICKETS_EVERY: Final = 60.0
CLEAN_EVERY: Final = 3600.0
APPLY_EVERY: Final = 0.5
SWEEP_EVERY: Final = 10.0
HEALTH_EVERY: Final = 2.0
_FENCINGS: Final = 8
_HOSTS_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Watching:
    """The aggregator, and what its rules remember of their last evaluations."""

    aggregator: Aggregator
    memory: Memory


def aggregator(
    services: Services, power: HostPower | None, parts: ExitStack, network: NetworkDriver | None = None
) -> Watching:
    """All jobs, not started yet; what they hold is released by `parts`. Raises RulesInvalid, ValueError, Invalid."""
    alarms, memory = alarm_jobs(services, power, parts)
    nets = () if network is None else network_jobs(services, network, parts)
    jobs = (line_job(services), *alarms, *control_jobs(services, parts), *nets)
    return Watching(Aggregator(jobs), memory)


def alarm_jobs(services: Services, power: HostPower | None, parts: ExitStack) -> tuple[tuple[Job, ...], Memory]:
    """The watch over the hosts, the rules, their alarms and notifications. Raises as `aggregator` does."""
    routes = _routes(services.settings)
    watch = _watch(services, power, parts)
    watching = Job("hosts", host_period(services.settings.scrape_interval), watch.step)
    rules = _rules(services, watch, routes)
    return (watching, *_alarms(services, rules, routes, parts)), rules.memory


def control_jobs(services: Services, parts: ExitStack) -> tuple[Job, ...]:
    """The upkeep of what an API process has accepted."""
    return (*_tasks(services), *_audit(services, parts), _consoles(services))


def network_jobs(services: Services, driver: NetworkDriver, parts: ExitStack) -> tuple[Job, ...]:
    """What hosts have of the networks follows what tenants want."""
    pool = parts.enter_context(ThreadPoolExecutor(_HOSTS_AT_ONCE, "network"))
    keys = sealing_keys(services.settings)
    around = reconcile.Surroundings(services.database, driver, services.clock, keys, pool, SystemRandom().random)
    reconciler = reconcile.Reconciler(around, new_id("reconciler"))
    return (
        Job("network", APPLY_EVERY, reconciler.step),
        Job("network_sweep", SWEEP_EVERY, reconciler.sweep),
        Job("network_health", HEALTH_EVERY, reconciler.look),
    )


def line_job(services: Services) -> Job:
    """Minutes, hours and days."""
    settings = services.settings
    resolutions = policy.declared(settings, zone(settings.timezone))
    keeper = LineKeeper(
        services.store, resolutions, services.clock, settings.late_horizon, lag=settings.scrape_interval
    )
    return Job("lines", LINES_EVERY, keeper.step)


def _watch(services: Services, power: HostPower | None, parts: ExitStack) -> HostWatch:
    settings = services.settings
    fencing = parts.enter_context(ThreadPoolExecutor(_FENCINGS, "fencing"))
    return HostWatch(
        Outside(services.database, services.store, services.clock, fencing, power, overcommit=settings.cpu_overcommit),
        HostPolicy.for_interval(settings.scrape_interval, settings.scrape_timeout),
        detector=new_id("detector"),
    )


def _routes(settings: Settings) -> Notifications:
    return Notifications({}, ()) if settings.notify_file is None else config.load(settings.notify_file)


def _rules(services: Services, watch: HostWatch, routes: Notifications) -> Rules:
    settings = services.settings
    around = Surroundings(services.database, services.store, services.clock, routes, troubles=partial(_troubles, watch))
    return Rules(around, settings.scrape_interval, settings.rules_file)


def _alarms(services: Services, rules: Rules, routes: Notifications, parts: ExitStack) -> tuple[Job, ...]:
    settings, database, clock = services.settings, services.database, services.clock
    sender = notify.sender(database, clock, routes, zone(settings.timezone))
    parts.callback(sender.close)
    return (
        Job("rules", rules.period, rules.step),
        *notify.jobs(sender, routes),
        notify.retention_job(database, clock, settings.alarm_retention),
        host_event_retention(database, clock, settings.alarm_retention),
    )


def _tasks(services: Services) -> tuple[Job, ...]:
    """The upkeep of the task engine, where there is one."""
    if services.tasks is None:
        return ()
    return (Job("tasks", services.settings.task_heartbeat, services.tasks.keep),)


def _consoles(services: Services) -> Job:
    """Tickets of consoles that nobody opened go, and those that were opened."""
    return Job("console_tickets", TICKETS_EVERY, lambda: tickets.forget(services.database, services.clock.now()))


def _audit(services: Services, parts: ExitStack) -> tuple[Job, ...]:
    """Counted refusals reach the audit log when their window is over, and when the product stops; what is older than
    its retention leaves it."""
    database, clock, counted = services.database, services.clock, services.refusals
    parts.callback(lambda: refusals.write(database, counted.all()))

    def write() -> None:
        refusals.write(database, counted.over(clock.now()))

    def forget() -> None:
        log.forget(database, clock.now() - timedelta(days=services.settings.audit_retention))

    return Job("audit_refusals", AUDIT_EVERY, write), Job("audit_retention", CLEAN_EVERY, forget)


def _troubles(watch: HostWatch) -> Collection[Trouble]:
    """What the host watch notices of the whole installation."""
    noticed = {Trouble.OWN_LINK_LOST: watch.blind, Trouble.BRAKE_ENGAGED: watch.braked}
    return [trouble for trouble, there in noticed.items() if there]
