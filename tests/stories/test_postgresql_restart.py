"""PostgreSQL is ended and started again while clients write through the API: whatever was acknowledged is there, what
was not is refused at once and clearly, and nobody has to be told that the database is back.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from api.wire.client import Answer, StarVCenter
from core.db.engine import Database
from tests.support import postgres
from tests.support.books import at_rest, missing, mistakes, saved_world
from tests.support.customer import Told, a_tenant, in_use
from tests.support.postgres import Restartable, Server
from tests.support.product import Product
from tests.support.real import eventually

CLIENTS, HOSTS, VMS = 8, 2, 2
RESTARTS = int(os.environ.get("STARVC_RESTARTS", "2"))
AWAY = 1.0
LONGEST = 2.5
"""Seconds until a client is told that the database is away, at most, on a machine with other work."""
WAYS: tuple[Callable[[Restartable], None], ...] = (Restartable.quit, Restartable.kill)


class Patient(StarVCenter):
    """A client that asks again while it is told that the database is away. `refusals`: how long it waited for each
    of these answers, in seconds."""

    refusals: list[float]

    def call(self, method: str, path: str, params: Mapping[str, object] | None = None) -> Answer:
        while True:
            began = time.monotonic()
            answer = super().call(method, path, params)
            if answer.status != 503:
                return answer
            assert "the database is not available now" in answer.text
            self.refusals.append(time.monotonic() - began)
            threading.Event().wait(0.1)


class Patiently(Product):
    def __init__(self, folder: Path, **settings: object) -> None:
        super().__init__(folder, **settings)
        self.refusals: list[float] = []

    def client(self, token: str) -> StarVCenter:
        made = Patient(self.url, token, language="en")
        made.refusals = self.refusals
        return made


@pytest.fixture
def server() -> Iterator[Restartable]:
    """With the settings that a server has by itself: what it has acknowledged is on its disk."""
    with postgres.running() as made:
        yield made


@pytest.mark.timeout(60 + 30 * RESTARTS)
def test_what_was_acknowledged_survives_the_end_of_postgresql(tmp_path: Path, server: Restartable) -> None:
    settings = {"sim_hosts": HOSTS, "sim_vms": VMS, "agent": "false", "scrape_interval": 5}
    with Server(server.door).database() as url, closing(Database(url)) as database:
        product = Patiently(
            tmp_path, database_url=url, sim_task_seconds=0.1, task_heartbeat=0.5, task_server_timeout=60, **settings
        )
        with product:
            told = used_through_restarts(product, server)
            eventually(lambda: at_rest(database), 30)
            assert missing(database, told) == []
            with database.platform() as session:
                assert mistakes(session, saved_world(product.data, HOSTS, VMS)) == []
        assert product.errors() == []
    assert [line for one in told for line in one.broken] == []
    assert product.refusals
    assert max(product.refusals) < LONGEST
    asked = sum(one.asked.total() for one in told)
    print(f"\n{RESTARTS} restarts of PostgreSQL, {asked} operations answered, {len(product.refusals)} refused while it "
          f"was away, after {max(product.refusals):.2f} s at most")  # fmt: skip


def used_through_restarts(product: Product, server: Restartable) -> list[Told]:
    """All clients have been served again after each restart."""
    tenant = a_tenant(product)
    with in_use(product, tenant, range(CLIENTS)) as told:
        for restart in range(RESTARTS):
            served(told)
            WAYS[restart % len(WAYS)](server)
            threading.Event().wait(AWAY)
            server.start()
        served(told)
    return told


def served(told: list[Told]) -> None:
    """Each of the clients is answered twice from now on."""
    before = [one.asked.total() for one in told]
    eventually(lambda: all(one.asked.total() > count + 1 for one, count in zip(told, before, strict=True)), 30)
