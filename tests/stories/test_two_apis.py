"""Two API processes on one PostgreSQL and one data centre, used by many clients at once: the one goes on where the
other one died, and nothing is given twice or left behind. An aggregator beside them switches a dead host off, and its
VMs run on elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import func, select

from core.context import Role
from core.db.engine import Database
from core.hosts.rows import Host
from core.secrets import new_token
from core.tasks.rows import Task, TaskState
from tests.support import stores
from tests.support.books import at_rest, missing, mistakes, saved_world
from tests.support.customer import a_tenant, in_use
from tests.support.postgres import Server
from tests.support.process import Process
from tests.support.product import Product, rows
from tests.support.real import eventually
from tests.support.roles import keys

HOSTS, VMS, CLIENTS, FEW = 3, 3, 4, 30.0
SIZE = ("--hosts", str(HOSTS), "--vms", str(VMS))


@dataclass
class Pair:
    """`folder`: of the data centre."""

    apis: list[Product]
    folder: Path
    database: Database

    def wrong(self) -> list[str]:
        """Once nothing is under way."""
        eventually(lambda: at_rest(self.database), FEW)
        with self.database.platform() as session:
            return mistakes(session, saved_world(self.folder, HOSTS, VMS))

    def connected(self) -> int:
        """How many hosts."""
        with self.database.platform() as session:
            return session.scalar(select(func.count()).where(Host.connected)) or 0

    def succeeded(self) -> Counter[str]:
        """How many tasks, by the server that ran them."""
        counted = select(Task.owner, func.count()).where(Task.state == TaskState.SUCCEEDED).group_by(Task.owner)
        with self.database.platform() as session:
            return Counter({str(owner): count for owner, count in session.execute(counted)})


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, postgresql: Server) -> Iterator[Pair]:
    root = tmp_path_factory.mktemp("apis")
    folder, token = root / "data-centre", new_token(Role.PLATFORM)
    with ExitStack() as parts:
        store = parts.enter_context(stores.victoria(root))
        database = parts.enter_context(postgresql.database())
        shared = {
            "database_url": database, "store": f"victoria+{store.url}", "platform_token": token, "agent": "false",
            **keys(),
            "sim_dir": folder, "sim_task_seconds": 0.1, "task_heartbeat": 0.5, "task_server_timeout": 2,
            "scrape_interval": 1, "lease_seconds": 4,
        }  # fmt: skip

        def started(made: Process) -> Process:
            parts.callback(lambda: made.process and made.kill())
            return made.start()

        def place(name: str) -> Path:
            (root / name).mkdir()
            return root / name

        started(Process(place("centre"), "sim", "serve", *SIZE, "--token", token, "--data-dir", str(folder)))
        apis = [Product(place(f"api-{number}"), role="api", **shared) for number in (1, 2)]
        others = [Process(place(name), name, **shared) for name in ("collector", "aggregator")]
        with ThreadPoolExecutor(2) as starting:
            list(starting.map(started, [*apis, *others]))
        made = Pair(apis, folder, parts.enter_context(closing(Database(database))))
        eventually(lambda: made.connected() == HOSTS, FEW)
        yield made


def states(api: Product) -> dict[str, str]:
    return {host["host.id"]: host["host.state"] for host in rows(api.platform("cloudhost/search"))}


def homes(api: Product) -> dict[str, str]:
    """Of the VMs that run."""
    return {vm["vm.id"]: vm["vm.hostid"] for vm in rows(api.platform("cloudvm/search")) if vm["vm.state"] == "1"}


def test_what_one_api_opened_the_other_one_switches(pair: Pair) -> None:
    one, other = pair.apis
    tenant = a_tenant(one)
    with one.client(tenant.token) as first, other.client(tenant.token) as second:
        vm = {"vm.id": rows(first("cloudvm/create", tenant.wish))[0]["vm.id"]}

        def state() -> str:
            return str(rows(second("cloudvm/search", vm))[0]["vm.state"])

        eventually(lambda: state() == "1")
        assert second("cloudvm/destroy", vm).succeeded
        eventually(lambda: state() == "0")
        assert first("cloudvm/start", vm).succeeded
        eventually(lambda: state() == "1")
    assert pair.wrong() == []


def test_two_apis_share_the_work_and_one_goes_on_when_the_other_is_killed(pair: Pair) -> None:
    one, other = pair.apis
    tenant, before = a_tenant(one), pair.succeeded()
    with in_use(other, tenant, range(CLIENTS)) as surviving:
        with in_use(one, tenant, range(CLIENTS, 2 * CLIENTS)) as told:
            eventually(lambda: len([count for count in (pair.succeeded() - before).values() if count > 2]) == 2)
            one.kill()
        asked = sum(len(client.tasks) for client in surviving)
        eventually(lambda: sum(len(client.tasks) for client in surviving) > asked + CLIENTS)
    assert pair.wrong() == []
    told = [*told, *surviving]
    assert [line for client in told for line in client.broken] == []
    assert missing(pair.database, told) == []

    one.start()
    assert homes(one) == homes(other)
    assert one.errors() == other.errors() == []


def test_a_dead_host_is_declared_dead_and_its_vms_run_on_elsewhere(pair: Pair) -> None:
    one, other = pair.apis
    before = homes(one)
    dead = Counter(before.values()).most_common(1)[0][0]
    one.inject("crash-host", dead)
    eventually(lambda: states(other)[dead] == "0", FEW)
    eventually(lambda: homes(other).keys() == before.keys() and dead not in homes(other).values(), FEW)
    other.inject("heal", dead)
    eventually(lambda: states(one)[dead] == "1", FEW)
    assert pair.wrong() == []
