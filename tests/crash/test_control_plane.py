"""kill -9 of the product while clients use its control plane: every task ends as the document says, nothing is left
behind, and whatever was acknowledged is there.

STARVC_KILLS sets the number of rounds.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from core.db.engine import Database
from core.tasks.rows import Task, TaskState
from tests.support.books import at_rest, missing, mistakes, saved_world
from tests.support.customer import Tenant, Told, a_tenant, in_use
from tests.support.product import Product
from tests.support.real import eventually

KILLS = int(os.environ.get("STARVC_KILLS", "2"))
CLIENTS, HOSTS, VMS = 4, 2, 2
AFTER_A_KILL = {
    TaskState.SUCCEEDED, TaskState.FAILED, TaskState.LOST, TaskState.TIMED_OUT, TaskState.ABORTED, TaskState.CANCELLED,
}  # fmt: skip


def killed_while_used(product: Product, tenant: Tenant, seed: int) -> list[Told]:
    """The product runs for a random while, is used by several clients, and killed in the middle of it."""
    chance = random.Random(seed)
    with in_use(product, tenant, [chance.randrange(2**32) for _ in range(CLIENTS)]) as told:
        threading.Event().wait(chance.uniform(0.0, 1.2))
        product.kill()
    return told


def a_clone(product: Product, tenant: Tenant) -> Told:
    """Asked for whatever chance will bring: there is one in every run."""
    told = Told()
    with product.client(tenant.token) as client:
        told.note("cloudvm/create", client("cloudvm/create", tenant.wish_for_clone))
    return told


@pytest.mark.timeout(60 + 30 * KILLS)
def test_kill_9_leaves_no_lock_quota_or_address_behind(tmp_path: Path, database_url: str) -> None:
    settings = {"sim_hosts": HOSTS, "sim_vms": VMS, "agent": "false", "scrape_interval": 5}
    product = Product(
        tmp_path, database_url=database_url, sim_task_seconds=0.3, task_heartbeat=0.5, task_workers=3, **settings
    )
    told: list[Told] = []
    with closing(Database(database_url)) as database:
        try:
            product.start()
            tenant = a_tenant(product)
            told.append(a_clone(product, tenant))
            for kill in range(KILLS):
                told += killed_while_used(product, tenant, kill)
                product.start()
                eventually(lambda: at_rest(database), 30)
                with database.platform() as session:
                    assert mistakes(session, saved_world(product.data, HOSTS, VMS)) == [], f"after kill {kill + 1}"
                assert missing(database, told) == []
        finally:
            product.stop()
        with database.platform() as session:
            ends = Counter(session.scalars(select(Task.state)))
            opened = session.execute(select(Task.arguments, Task.state).where(Task.kind == "vm.open")).all()
    clones = Counter(state for arguments, state in opened if "template" in arguments)
    assert clones
    assert set(ends) <= AFTER_A_KILL
    assert [line for one in told for line in one.broken] == []
    assert product.errors() == []
    asked = sum((one.asked for one in told), Counter[str]())
    assert asked.total() >= 5 * KILLS
    print(f"\n{KILLS} kills, {asked.total()} operations, {len(asked)} kinds of answers; tasks:",
          _counts(ends), "; clones of templates:", _counts(clones))  # fmt: skip


def _counts(ends: Counter[TaskState]) -> str:
    return ", ".join(f"{state.name.lower()} {count}" for state, count in sorted(ends.items()))
