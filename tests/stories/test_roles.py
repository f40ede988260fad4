"""The product on several processes: two APIs, three collectors and two aggregators on one PostgreSQL and one
VictoriaMetrics, each part killed in turn.
"""

from __future__ import annotations

import base64
import itertools
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from api.wire.client import StarVCenter
from core.clock import SystemClock
from core.context import Role
from core.secrets import new_token
from core.settings import Settings
from core.timeseries.fields import Kind
from core.timeseries.opening import open_store
from tests.support import stores
from tests.support.postgres import Server
from tests.support.process import Process, inject
from tests.support.product import rows
from tests.support.real import eventually
from tests.support.stores import Running

INTERVAL = 1
PAGE = {"page.startnum": 1, "page.everypagenum": 30}


@dataclass
class Cloud:
    apis: list[Process]
    collectors: list[Process]
    aggregators: list[Process]
    settings: Settings
    token: str

    def call(self, api: int = 0) -> StarVCenter:
        return StarVCenter(self.apis[api].url, self.token, language="en")

    def inject(self, action: str, target: str) -> None:
        inject(self.apis[0].url, self.token, action, target)

    def alarms(self, of: str = "") -> list[dict[str, str]]:
        with self.call() as client:
            wanted = {**PAGE, **({"alarm.objid": of} if of else {})}
            return rows(client("cloudalarm/search", wanted))

    def owner(self, lease: str) -> Process | None:
        line = f'starvc_lease_held{{lease="{lease}"}} 1.0'
        return next((one for one in self.aggregators if _held(one, line)), None)

    def times(self, kind: Kind, since: float, until: float) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        with closing(open_store(self.settings, Path(), SystemClock())) as store:
            frame = store.read(kind, since, until)
        for name, moment in zip(frame.objects, frame.times.tolist(), strict=True):
            found.setdefault(name, []).append(moment)
        return found


def _held(process: Process, line: str) -> bool:
    try:
        return line in process.metrics().splitlines()
    except httpx.TransportError:  # it is dead
        return False


@pytest.fixture(scope="module")
def victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with stores.victoria(tmp_path_factory.mktemp("victoria")) as running:
        yield running


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, postgresql: Server, victoria: Running) -> Iterator[Cloud]:
    token, folder = new_token(Role.PLATFORM), tmp_path_factory.mktemp("roles")
    with postgresql.database() as url, ExitStack() as running:
        shared = {
            "database_url": url,
            "store": f"victoria+{victoria.url}?prefix={victoria.name()}",
            "platform_token": token,
            "token_key": base64.b64encode(secrets.token_bytes(32)).decode(),
            "sealing_keys": base64.b64encode(secrets.token_bytes(32)).decode(),
            "scrape_interval": INTERVAL,
            "lease_seconds": 4,
        }

        def role(name: str, *arguments: str, **more: object) -> Process:
            (folder / name).mkdir()
            made = Process(folder / name, *arguments, **{"agent": "false", **shared, **more}).start()
            running.callback(made.stop)
            return made

        apis = [role("api-1", "api", sim_hosts=3, sim_vms=9), role("api-2", "api", sim_hosts=0)]
        collectors = [role(f"collector-{n}", "collector", "--shard", f"{n}/3") for n in (1, 2, 3)]
        aggregators = [role(f"aggregator-{n}", "aggregator") for n in (1, 2)]
        yield Cloud(apis, collectors, aggregators, Settings(store=str(shared["store"])), token)


def test_each_part_may_die(cloud: Cloud) -> None:
    eventually(lambda: len(cloud.times(Kind.VM, time.time() - 10, time.time())) == 9, 60)
    eventually(lambda: cloud.owner("alarms") and cloud.owner("lines"), 30)
    began = time.time() + 2

    dead = cloud.collectors[0]
    dead.kill()
    killed_at = time.time()
    time.sleep(3)
    dead.start()
    back_at = time.time()

    owner = cloud.owner("alarms")
    assert owner is not None
    owner.kill()
    eventually(lambda: cloud.owner("alarms") not in {None, owner}, 20)
    eventually(lambda: cloud.owner("lines") not in {None, owner}, 20)
    owner.start()

    cloud.apis[1].kill()
    with cloud.call(0) as client:
        hosts = [row["host.id"] for row in rows(client("cloudhost/search"))]
    cloud.apis[1].start()
    with cloud.call(1) as client:
        assert [row["host.id"] for row in rows(client("cloudhost/search"))] == hosts
        assert rows(client("cloudvm/search"))

    time.sleep(5)
    _complete(cloud, began, killed_at, back_at)
    eventually(lambda: not [row for row in cloud.alarms() if not row["alarm.relieve.time"]], 30)
    assert [alarm for alarm in cloud.alarms() if alarm["alarm.type"] == "host-unreachable"] == []
    for process in (*cloud.apis, *cloud.collectors, *cloud.aggregators):
        assert process.errors() == []


def test_an_outage_is_one_alarm_though_two_watch_and_one_of_them_dies(cloud: Cloud) -> None:
    eventually(lambda: len(cloud.times(Kind.VM, time.time() - 10, time.time())) == 9, 60)
    eventually(lambda: cloud.owner("alarms"), 30)
    with cloud.call() as client:
        host = rows(client("cloudhost/search"))[0]["host.id"]
    cloud.inject("crash-host", host)
    eventually(lambda: cloud.alarms(host), 30)
    owner = cloud.owner("alarms")
    assert owner is not None
    owner.kill()
    eventually(lambda: cloud.owner("alarms") not in {None, owner}, 20)
    cloud.inject("heal", host)
    eventually(lambda: all(row["alarm.relieve.time"] for row in cloud.alarms(host)), 60)
    types = [row["alarm.type"] for row in cloud.alarms(host)]
    assert len(types) == len(set(types)), types


def _complete(cloud: Cloud, began: float, killed_at: float, back_at: float) -> None:
    """No scrape of a VM's page is missing, but for the shard that was dead, while it was."""
    until = time.time() - 3
    found = cloud.times(Kind.VM, began, until)
    assert len(found) == 9
    for name, moments in found.items():
        for before, after in itertools.pairwise([began, *sorted(moments), until]):
            in_the_gap = before <= back_at + 2 * INTERVAL and after >= killed_at - INTERVAL
            assert after - before < 2 * INTERVAL or in_the_gap, (name, before, after)
