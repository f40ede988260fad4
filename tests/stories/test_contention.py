"""Many clients at once on the running product: nobody gets more than there is, and nothing is given twice."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.compute.rows import Vm
from core.db.engine import Database
from core.tasks.rows import Task
from tests.support.books import at_rest, mistakes, saved_world
from tests.support.customer import Customer, Tenant, a_tenant
from tests.support.product import Product, fields, rows
from tests.support.real import eventually
from tests.support.threads import together

CLIENTS, ACTS = 32, 8
HOSTS, VMS = 2, 2


@pytest.fixture
def product(tmp_path: Path, database_url: str) -> Iterator[Product]:
    settings = {"sim_hosts": HOSTS, "sim_vms": VMS, "agent": "false", "sim_task_seconds": 0.05}
    with Product(tmp_path, database_url=database_url, **settings) as running:
        yield running


def everybody(product: Product, tenant: Tenant) -> list[Customer]:
    """Every client has acted ACTS times."""

    def use(number: int) -> Customer:
        with product.client(tenant.token) as client:
            customer = Customer(client, tenant, number)
            for _ in range(ACTS):
                customer.act()
        return customer

    return together(CLIENTS, use)


def overlaps(session: Session) -> list[str]:
    """Tasks that ran on an object while another one did."""
    spans = defaultdict(list)
    ran = select(Task.object_id, Task.started_at, Task.ended_at, Task.id).where(Task.started_at.is_not(None))
    for object_id, *span in session.execute(ran.order_by(Task.started_at)):
        spans[object_id].append(span)
    return [
        f"{one[2]} and {other[2]} on {object_id}"
        for object_id, own in spans.items()
        for one, other in pairwise(own)
        if other[0] < one[1]
    ]


def test_32_clients_never_get_more_than_there_is_and_never_the_same(product: Product, database_url: str) -> None:
    tenant = a_tenant(product)
    wrong, over = [], threading.Event()

    def watch() -> None:
        with product.client(tenant.token) as client:
            while not over.wait(0.05):
                left = fields(client("resourcequota/usableQuota", {"tenant.id": tenant.id}))
                wrong.extend(f"{left}" for name in ("cpu", "memory", "storage") if left[name] < 0)
                addresses = [vm["vm.ip"] for vm in rows(client("cloudvm/search")) if vm["vm.ip"]]
                wrong.extend([f"{addresses}"] if len(set(addresses)) != len(addresses) else [])

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        customers = everybody(product, tenant)
        over.set()
        watching.result()
    assert wrong == []
    assert [line for customer in customers for line in customer.told.broken] == []
    with closing(Database(database_url)) as database:
        eventually(lambda: at_rest(database), 60)
        with database.platform() as session:
            world = saved_world(product.data, HOSTS, VMS)
            assert mistakes(session, world) == []
            assert overlaps(session) == []
            known = set(session.scalars(select(Task.id)))
    assert {task for customer in customers for task in customer.told.tasks} <= known
    assert product.errors() == []


def test_of_32_clients_that_ask_for_more_than_there_is_each_gets_all_or_nothing(
    product: Product, database_url: str
) -> None:
    tenant = a_tenant(product, **{"app.cpu.quota": 50, "app.memory.quota": 50_000})

    def ask(number: int) -> tuple[int, int]:
        wanted = number % 4 + 1
        with product.client(tenant.token) as client:
            answer = client("cloudvm/create", {**tenant.wish, "vm.num": wanted})
        return wanted, len(rows(answer)) if answer.succeeded else 0

    answers = together(CLIENTS, ask)
    assert all(given in {0, wanted} for wanted, given in answers)
    given = sum(given for _, given in answers)
    assert 25 - 3 <= given <= 25
    assert all(wanted > 25 - given for wanted, got in answers if not got)
    with closing(Database(database_url)) as database:
        eventually(lambda: at_rest(database), 60)
        with database.platform() as session:
            own = session.scalars(select(Vm).where(Vm.tenant_id == tenant.id)).all()
            assert mistakes(session, saved_world(product.data, HOSTS, VMS)) == []
    assert len(own) == given
