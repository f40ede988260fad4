"""The product on many machines: two APIs, three collectors and two aggregators, a PostgreSQL, a time-series server and
the data centre, each on a machine of its own. Each part is killed in turn, and links are cut for longer than a lease.

Machines are network namespaces. Where there are none all parts run on this machine, and no link is cut.
STARVC_MACHINES_MINUTES makes a long story of it.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial

import pytest

from aggregator.rules.troubles import PLATFORM
from collector.shards import Shard
from core.context import Role
from core.db.engine import Database
from core.secrets import new_token
from core.settings import Settings
from tests.support import postgres, stores
from tests.support.machines import Machine, Network, network
from tests.support.postgres import Restartable, Server
from tests.support.process import Process
from tests.support.product import rows
from tests.support.real import HERE, Place, eventually, require
from tests.support.roles import Roles, completeness, keys, metric
from tests.support.stores import Running

HOSTS, VMS, LEASE = 6, 18, 4.0
STORES = ("victoria", "influx")
INTERVAL = 2
"""Seconds between two scrapes: at one second all of this is too much for a small machine."""
LONG = 60 * float(os.environ.get("STARVC_MACHINES_MINUTES", "0"))
pytestmark = pytest.mark.timeout(600 + 3 * LONG)
RELIEF = 60.0
LONGEST = 12.0
"""Seconds until a request is refused over a cut link, at most: five for what was sent, five for a new connection."""


@dataclass
class World:
    roles: Roles
    postgresql: Restartable
    store: Running
    net: Network | None
    began: float = 0.0

    def cut(self, one: Place, other: Place) -> AbstractContextManager[None]:
        assert self.net is not None
        assert isinstance(one, Machine)
        assert isinstance(other, Machine)
        return self.net.cut(one, other)


@pytest.fixture(scope="module")
def net() -> Iterator[Network | None]:
    """None: there are no namespaces here."""
    with ExitStack() as made:
        try:
            found = made.enter_context(network())
        except pytest.skip.Exception:
            found = None
        yield found


@pytest.fixture(scope="module", params=STORES)
def world(
    request: pytest.FixtureRequest, net: Network | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("machines")

    def place() -> Place:
        return HERE if net is None else net.machine()

    with ExitStack() as parts:
        started = {"victoria": stores.victoria, "influx": stores.influx}[request.param]
        store = parts.enter_context(started(folder, place=place()))
        server = parts.enter_context(postgres.running(place=place()))
        database = parts.enter_context(Server(server.door).database())
        url, token = store_url(request.param, store), new_token(Role.PLATFORM)
        shared = {
            "database_url": database, "store": url, "store_token": stores.influx_token(), "platform_token": token,
            **keys(),
            "scrape_interval": INTERVAL, "lease_seconds": LEASE, "agent": "false",
        }  # fmt: skip

        def role(name: str, *arguments: str, place: Place) -> Process:
            (folder / name).mkdir()
            made = Process(folder / name, *arguments, place=place, **shared)
            parts.callback(lambda: made.process and made.kill())
            return made

        at = place()
        size = ("--hosts", str(HOSTS), "--vms", str(VMS), "--address", at.address, "--token", token)
        shared["sim_dir"] = folder / "data-centre"
        centre = role("centre", "sim", "serve", *size, "--data-dir", str(shared["sim_dir"]), place=at)
        roles = Roles(
            centre,
            [role(f"api-{n}", "api", place=place()) for n in (1, 2)],
            [role(f"collector-{n}", "collector", "--shard", f"{n}/3", place=place()) for n in (1, 2, 3)],
            [role(f"aggregator-{n}", "aggregator", place=place()) for n in (1, 2)],
            Settings(store=url, store_token=stores.influx_token()),
            parts.enter_context(closing(Database(database))),
            token,
        )
        centre.start()
        with ThreadPoolExecutor(2) as starting:  # what they start with is work
            list(starting.map(Process.start, roles.all[1:]))
        yield World(roles, server, store, net)


def store_url(kind: str, store: Running) -> str:
    if kind == "victoria":
        return f"victoria+{store.url}?prefix={store.name()}"
    return f"influxdb+{store.url}?org={stores.ORG}&prefix={store.name()}"


def settle(world: World) -> None:
    """All VMs are measured, and an aggregator has each lease."""
    vms = [vm for vms in world.roles.hosts().values() for vm in vms]
    eventually(lambda: world.roles.scraped(vms, 3 * INTERVAL), 60)
    eventually(lambda: world.roles.owner("alarms") and world.roles.owner("lines"), 30)
    eventually(lambda: not world.roles.unrelieved(), RELIEF)
    world.roles.gaps.clear()
    world.began = time.time()


@contextmanager
def gap(world: World, shard: int) -> Iterator[None]:
    """The hosts of this shard are not scraped in the block."""
    began = time.time()
    yield
    for host in hosts_of(world, shard):
        world.roles.gaps.setdefault(host, []).append((began - INTERVAL, time.time() + 2 * INTERVAL))


def hosts_of(world: World, shard: int) -> list[str]:
    return [host for host in world.roles.hosts() if Shard(shard, 3).owns(host)]


def away(part: Process | Running | Restartable, seconds: float = 1.5) -> None:
    part.kill()
    time.sleep(seconds)
    part.start()


def collector_away(world: World, shard: int) -> None:
    collector = world.roles.collectors[shard - 1]
    with gap(world, shard):
        away(collector)
        eventually(lambda: (metric(collector, 'starvc_collector_points_total{kind="vm"}') or 0) > 0, 30)


def seconds_until_taken_over(roles: Roles) -> float:
    """The owner of the leases is killed."""
    owner = eventually(lambda: roles.owner("alarms"), 20)
    heir, killed = roles.other(owner), time.monotonic()
    owner.kill()
    eventually(lambda: holds(heir), 20, every=0.2)
    took = time.monotonic() - killed
    owner.start()
    return took


def complete(world: World) -> float:
    """Once the queues are drained: percent of all scrapes, outside the gaps of the parts that were killed or cut
    off."""
    roles, period = world.roles, (world.began, time.time() - 2 * INTERVAL)
    hosts = roles.hosts()
    spans = {vm: roles.gaps.get(host, []) for host, vms in hosts.items() for vm in vms}

    eventually(lambda: all(metric(one, "starvc_collector_queued_points") == 0 for one in roles.collectors), 30)
    found = completeness(roles.times(period[0] - 1, period[1] + 1), spans, period, INTERVAL)
    late = [metric(one, 'starvc_collector_missed_slots_total{reason="late"}') for one in roles.collectors]
    assert found.percent >= 99.9, (found.holes, f"scrapes that the collectors came too late for: {late}")
    eventually(lambda: roles.lines_agree(*period), 20)
    return found.percent


def each_part_may_die(world: World) -> None:
    roles = world.roles
    rounds, until, took = 0, time.monotonic() + LONG, []
    while not rounds or time.monotonic() < until:
        rounds += 1
        with ThreadPoolExecutor(1 if LONG else 2) as killing:
            list(killing.map(partial(collector_away, world), (1, 2, 3)))
        away(world.store)
        away(world.postgresql)
        for number, api in enumerate(roles.apis):
            hosts = roles.hosts()
            api.kill()
            with roles.call(1 - number) as client:
                assert {row["host.id"] for row in rows(client("cloudhost/search"))} == hosts.keys()
            api.start()
        took.append(seconds_until_taken_over(roles))
    percent = complete(world)
    eventually(lambda: not roles.unrelieved(), RELIEF)
    raised = Counter(roles.raised(world.began))
    assert {rule for rule, _ in raised} <= {"target-silent", "store-unavailable"}, raised
    assert all(count <= rounds for count in raised.values()), raised
    assert [line for process in roles.all for line in process.errors()] == []
    print(f"\n{rounds} rounds of kills: {percent:.2f} % of the scrapes are there; taken over after {max(took):.1f} s "
          f"(lease: {LEASE:.0f} s)")  # fmt: skip


def an_outage_is_one_alarm_though_two_watch_and_one_of_them_dies(world: World) -> None:
    roles = world.roles
    host = next(iter(roles.hosts()))
    alarm = ("host-unreachable", host)
    roles.inject("crash-host", host)
    eventually(lambda: alarm in roles.unrelieved(), 30)
    seconds_until_taken_over(roles)
    assert alarm in roles.unrelieved()
    roles.inject("heal", host)
    eventually(lambda: not roles.unrelieved(), RELIEF)
    raised = roles.raised(world.began)
    assert len(raised) == len(set(raised)), raised
    assert [one for one in raised if one[0] == alarm[0]] == [alarm]


def links_are_cut_for_longer_than_a_lease(world: World) -> None:
    """Four at once, each between two machines: the owner of the leases and an API from PostgreSQL, a collector from
    the store, and another one from the hosts."""
    if world.net is None:
        require("namespaces", None, "links are cut between network namespaces, which cannot be made here")
    roles, state = world.roles, world.postgresql.place
    owner = eventually(lambda: roles.owner("alarms"), 20)
    heir, (queueing, blind, _) = roles.other(owner), roles.collectors
    unseen = hosts_of(world, 2)
    with ThreadPoolExecutor(1) as beside, ExitStack() as cuts, gap(world, 2):
        for one, other in (
            (owner.place, state), (roles.apis[1].place, state), (queueing.place, world.store.place),
            (blind.place, roles.centre.place),
        ):  # fmt: skip
            cuts.enter_context(world.cut(one, other))
        began = time.monotonic()
        asked = beside.submit(seconds_until_refused, roles, 1)
        eventually(lambda: holds(heir), 20, every=0.2)
        took, written = time.monotonic() - began, windows(owner)
        eventually(lambda: not holds(owner), 20)
        noticed, refused = time.monotonic() - began, asked.result()
        alarmed = {("host-unreachable", host) for host in unseen}
        eventually(lambda: alarmed <= set(roles.unrelieved()), 30)
        eventually(lambda: (metric(queueing, "starvc_collector_queued_points") or 0) > 0, 20)
        assert windows(owner) == written
        lasted = time.monotonic() - began
    healed = time.monotonic()
    eventually(lambda: answers(roles, 1), 20)
    back = time.monotonic() - healed
    percent = complete(world)
    eventually(lambda: not roles.unrelieved(), RELIEF)
    raised = roles.raised(world.began)
    assert len(raised) == len(set(raised)), raised
    assert {one for one in raised if one[0].startswith("host")} == alarmed
    assert {rule for rule, _ in raised} <= {"host-unreachable", "target-down", "target-silent"}, raised
    assert [line for process in roles.all for line in process.errors()] == []
    print(f"\nlinks cut for {lasted:.1f} s: {percent:.2f} % of the scrapes are there; leases (of {LEASE:.0f} s) taken "
          f"over after {took:.1f} s, given up by their owner after {noticed:.1f} s; an API without PostgreSQL refuses "
          f"after {refused[0]:.1f} s, then {refused[1]:.1f} s, and answers {back:.1f} s after the cut")  # fmt: skip


def a_cloud_out_of_sight_is_our_own_link(world: World) -> None:
    if world.net is None:
        require("namespaces", None, "links are cut between network namespaces, which cannot be made here")
    roles = world.roles
    assert isinstance(roles.centre.place, Machine)
    with world.net.unplugged(roles.centre.place):
        eventually(lambda: ("own-link-lost", PLATFORM) in roles.unrelieved(), 20)
        with roles.call() as client:
            assert {row["host.state"] for row in rows(client("cloudhost/search"))} == {"1"}
    eventually(lambda: not roles.unrelieved(), RELIEF)
    raised = roles.raised(world.began)
    assert raised.count(("own-link-lost", PLATFORM)) == 1
    assert [one for one in raised if one[0].startswith("host")] == []


STORIES = (
    each_part_may_die,
    an_outage_is_one_alarm_though_two_watch_and_one_of_them_dies,
    links_are_cut_for_longer_than_a_lease,
    a_cloud_out_of_sight_is_our_own_link,
)


def test_the_product_on_many_machines(world: World, subtests: pytest.Subtests) -> None:
    """One test, for machines take long to start, and the stories of one must not be told twice at the same time."""
    for story in STORIES:
        with subtests.test(story.__name__):
            settle(world)
            story(world)


def seconds_until_refused(roles: Roles, api: int) -> list[float]:
    """Of two requests, one after the other."""
    taken = []
    with roles.call(api) as client:
        for _ in range(2):
            began = time.monotonic()
            answer = client("cloudhost/search")
            taken.append(time.monotonic() - began)
            assert (answer.status, answer.text) == (503, "the database is not available now; try again later")
    assert max(taken) < LONGEST
    return taken


def answers(roles: Roles, api: int) -> bool:
    with roles.call(api) as client:
        return client("cloudhost/search").succeeded


def holds(aggregator: Process) -> bool:
    """Whether it believes that it has both leases."""
    return all(metric(aggregator, f'starvc_lease_held{{lease="{lease}"}}') == 1 for lease in ("alarms", "lines"))


def windows(aggregator: Process) -> float | None:
    return metric(aggregator, 'starvc_rollup_windows_total{level="minute"}')
