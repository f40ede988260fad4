"""The control plane of the real process, from outside: VMs opened, what a task costs, and searches among 10,000 VMs,
each beside a peer on the same machine in the same run: a bare commit, or a bare FastAPI route with the same answer.

    python -m tests.benchmarks.test_control_plane FOLDER PORT

is the bare route: it answers every path `/<name>` with the file `FOLDER/<name>`.
"""

from __future__ import annotations

import random
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlencode

import pytest
import uvicorn
from fastapi import FastAPI, Response
from sqlalchemy import func, select, update

from api.parts import DEMO_TOKEN_FILE
from api.wire.app import BASE
from api.wire.client import StarVCenter, pack, unpack
from api.wire.codec import PARAMETER
from api.wire.frame import TOKEN
from core.compute.inventory import ensure_host, ensure_vms
from core.db.engine import Database
from core.hosts.rows import Host
from core.settings import Settings
from core.tasks.rows import Task, TaskState
from core.tenancy.rows import Quota, Tenant
from core.tenancy.tokens import ensure_tenant_token
from tests.support import customer
from tests.support.inventory import a_host, a_vm
from tests.support.process import ROOT
from tests.support.product import Product, rows
from tests.support.real import answers, eventually, free_port, server
from tests.support.state import database_of
from tests.support.threads import together

_OPENED, _BATCH, _TASKS = 100, 10, 300
_VMS, _HOSTS, _TENANT = 10_000, 200, "t1"
_CALLS, _CLIENTS, _SECONDS = 200, 8, 3.0
_VARIANTS = 50
_QUOTA = {"app.cpu.quota": 10_000, "app.memory.quota": 10_000_000, "app.storage.quota": 100_000}


# --- tasks


@pytest.mark.benchmark
def test_opened_vms_and_the_overhead_of_a_task(tmp_path: Path) -> None:
    quiet = {"sim_task_seconds": 0, "sim_hosts": 20, "sim_vms": 20, "agent": False, "scrape_interval": 10}
    with Product(tmp_path, request_rate=0, **quiet) as product, _database(product.data) as database:
        eventually(lambda: _connected(database) == quiet["sim_hosts"], 60, 0.5)
        for number in (_BATCH, 1):
            accepted, ended = _open(product, database, number)
            print(f"\n{_OPENED} VMs by requests of {number}: {_OPENED / ended:.0f} VMs/s from the first request to the"
                  f" last end in {ended:.2f} s; accepted in {accepted:.2f} s,"
                  f" {1000 * accepted / _OPENED * number:.1f} ms a request", end="")  # fmt: skip
        _restart(product, database)
        with database.platform() as session:
            states = session.execute(select(Task.state, func.count()).group_by(Task.state)).all()
        assert [tuple(row) for row in states] == [(TaskState.SUCCEEDED, 2 * _OPENED + 1 + _TASKS)]


@contextmanager
def _database(folder: Path) -> Iterator[Database]:
    with closing(database_of(folder)) as database:
        yield database


def _connected(database: Database) -> int:
    with database.platform() as session:
        return session.scalar(select(func.count()).select_from(Host).where(Host.connected)) or 0


def _wait(database: Database) -> None:
    """Until no task is under way."""

    def quiet() -> bool:
        under_way = select(Task.id).where(Task.state.in_((TaskState.QUEUED, TaskState.RUNNING))).limit(1)
        with database.platform() as session:
            return session.scalar(under_way) is None

    eventually(quiet, 60, 0.001)


def _open(product: Product, database: Database, number: int) -> tuple[float, float]:
    """Seconds until the last request was accepted, and until the last task had ended."""
    tenant = customer.a_tenant(product, **_QUOTA)
    with product.client(tenant.token) as client:
        began = time.perf_counter()
        for _ in range(_OPENED // number):
            assert len(rows(client("cloudvm/create", {**tenant.wish, "vm.num": number}))) == number
        accepted = time.perf_counter() - began
        _wait(database)
        ended = time.perf_counter() - began
        assert {vm["vm.state"] for vm in rows(client("cloudvm/search"))} == {"1"}
    return accepted, ended


def _restart(product: Product, database: Database) -> None:
    """One VM, one restart after the other: the guest takes no time, what remains is the task."""
    tenant = customer.a_tenant(product, **_QUOTA)
    requests, whole, ids = [], [], []
    with product.client(tenant.token) as client:
        (vm,) = rows(client("cloudvm/create", tenant.wish))
        _wait(database)
        for _ in range(_TASKS):
            began = time.perf_counter()
            answer = client("cloudvm/restart", {"vm.id": vm["vm.id"]})
            requests.append(time.perf_counter() - began)
            _wait(database)
            whole.append(time.perf_counter() - began)
            assert answer.succeeded, answer.text
            ids.append(answer.task_id)
        reads = [_seconds(lambda: _read(client, vm["vm.id"])) for _ in range(_TASKS)]
    with database.platform() as session:
        times = session.execute(select(Task.created_at, Task.ended_at).where(Task.id.in_(ids)))
        tasks = [(ended - created).total_seconds() for created, ended in times if ended is not None]
    commits = [_seconds(lambda: _commit(database, tenant.id)) for _ in range(_TASKS)]
    assert len(tasks) == _TASKS
    print(f"\n{_TASKS} restarts that take no time{'median ms':>17}{'p99 ms':>9}{'x a commit':>12}")
    for name, taken in {
        "the request, until it is accepted": requests,
        "the task, from acceptance to its end": tasks,
        "both, as another process sees the end": whole,
        "beside: a request that reads the VM": reads,
        "beside: a commit on the same database": commits,
    }.items():
        ratio = median(taken) / median(commits)
        print(f"  {name:<40}{1000 * median(taken):>7.2f}{1000 * _p99(taken):>9.2f}{ratio:>12.1f}")


def _seconds(deed: Callable[[], None]) -> float:
    began = time.perf_counter()
    deed()
    return time.perf_counter() - began


def _read(client: StarVCenter, vm_id: str) -> None:
    assert client.call("GET", f"cloudvm/{vm_id}").succeeded


def _commit(database: Database, tenant_id: str) -> None:
    with database.platform(write=True) as session:
        session.execute(update(Tenant).where(Tenant.id == tenant_id).values(description=Tenant.description + "."))


def _p99(taken: Sequence[float]) -> float:
    return quantiles(taken, n=100)[98]


# --- searches


@dataclass(frozen=True)
class Shape:
    """A search as many callers make it, each with parameters of its own; every answer has `found` rows."""

    name: str
    found: int
    parameters: tuple[Mapping[str, object], ...]


def _shapes() -> tuple[Shape, ...]:
    chance = random.Random(1)
    numbers = chance.sample(range(1000, _VMS), _VARIANTS)
    page = {"page.everypagenum": 30}
    anywhere = tuple({"page.startnum": chance.randrange(1, _VMS - 30), **page} for _ in range(_VARIANTS))
    return (
        Shape("first-page", 30, ({"page.startnum": 1, **page},)),
        Shape("any-page", 30, anywhere),
        Shape("by-id", 1, tuple({"vm.id": f"vm-{number}", "page.startnum": 1, **page} for number in numbers)),
        Shape("by-name", 11, tuple({"vm.name": f"EB{n}", "page.startnum": 1, **page} for n in range(100, 150))),
    )


class Caller:
    """One connection that is kept, and requests that were made before: what is measured is the server."""

    def __init__(self, port: int, requests: Sequence[bytes]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._requests = cycle(requests)

    def __call__(self) -> bytes:
        """The body of the answer to the next request."""
        self._socket.sendall(next(self._requests))
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += self._more()
        return body

    def _more(self) -> bytes:
        part = self._socket.recv(65_536)
        assert part, "the server hung up"
        return part

    def close(self) -> None:
        self._socket.close()


def _requests(path: str, token: str, shape: Shape) -> list[bytes]:
    made = []
    for parameters in shape.parameters:
        body = urlencode({PARAMETER: pack(parameters)})
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{TOKEN}: {token}\r\ncontent-length: {len(body)}\r\n"
        made.append(f"{head}content-type: application/x-www-form-urlencoded\r\n\r\n{body}".encode())
    return made


@dataclass(frozen=True)
class Speed:
    """Of one server and one shape: seconds of single calls, and answers a second to all clients together."""

    single: Sequence[float]
    rate: float


def _speed(port: int, requests: Sequence[bytes]) -> Speed:
    with closing(Caller(port, requests)) as caller:
        for _ in range(20):
            caller()
        single = [_seconds(lambda: _call(caller)) for _ in range(_CALLS)]

    def client(_position: int) -> float:
        """Answers a second."""
        with closing(Caller(port, requests)) as own:
            began, number = time.perf_counter(), 0
            while (spent := time.perf_counter() - began) < _SECONDS:
                own()
                number += 1
        return number / spent

    return Speed(single, sum(together(_CLIENTS, client)))


def _call(caller: Caller) -> None:
    caller()


def _fill(folder: Path) -> str:
    """The inventory, before the product starts; the token of the tenant that owns it."""
    folder.mkdir(mode=0o700)
    now = datetime.now(UTC)
    with _database(folder) as database:
        database.migrate()
        with database.platform(write=True) as session:
            session.add(Tenant(id=_TENANT, name=_TENANT, created_at=now))
            session.flush()
            session.add(Quota(tenant_id=_TENANT))
            for number in range(1, _HOSTS + 1):
                ensure_host(session, a_host(number), now)
            session.flush()
            ensure_vms(session, [a_vm(n, _TENANT, n % _HOSTS + 1) for n in range(_VMS)], now)
            return ensure_tenant_token(session, Settings(data_dir=folder), _TENANT, DEMO_TOKEN_FILE, now)


@contextmanager
def _bare_route(folder: Path) -> Iterator[int]:
    """Its port."""
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.test_control_plane", str(folder), str(port)]
    with server(command, lambda: answers(f"http://127.0.0.1:{port}/docs"), folder.parent / "bare.log", cwd=ROOT):
        yield port


@pytest.mark.benchmark
def test_searches_among_10000_vms_beside_a_bare_route(tmp_path: Path) -> None:
    token, bodies = _fill(tmp_path / "data"), tmp_path / "bodies"
    bodies.mkdir()
    quiet = {"sim_hosts": 0, "sim_vms": 0, "agent": False, "scrape_interval": 3600}
    with ExitStack() as running:
        product = running.enter_context(Product(tmp_path, request_rate=0, **quiet))
        port, shapes = int(product.url.rpartition(":")[2]), _shapes()
        asked = {shape.name: _requests(f"{BASE}/cloudvm/search", token, shape) for shape in shapes}
        for shape in shapes:
            (bodies / shape.name).write_bytes(_correct(port, asked[shape.name], shape))
        bare = running.enter_context(_bare_route(bodies))
        print(f"\n{_VMS} VMs, cloudvm/search; beside it a bare FastAPI route that returns the same bytes")
        print(f"{'':<12}{'bytes':>7}{'p50 ms':>9}{'p99 ms':>9}{'bare':>7}{'p99':>7}{'ratio':>8}"
              f"{f'{_CLIENTS} clients/s':>14}{'bare':>8}{'ratio':>8}")  # fmt: skip
        for shape in shapes:
            body, same = (bodies / shape.name).read_bytes(), _requests(f"/{shape.name}", token, shape)
            with closing(Caller(bare, same)) as caller:
                assert caller() == body
            ours, theirs = _speed(port, asked[shape.name]), _speed(bare, same)
            print(_line(shape.name, len(body), ours, theirs), flush=True)
        assert product.errors() == []


def _correct(port: int, requests: Sequence[bytes], shape: Shape) -> bytes:
    """Every answer is right; the first of them."""
    with closing(Caller(port, requests)) as caller:
        bodies = [caller() for _ in requests]
    for body, parameters in zip(bodies, shape.parameters, strict=True):
        answer = unpack(200, body)
        found = rows(answer)
        assert len(found) == shape.found
        assert answer.total == (_VMS if shape.found == 30 else shape.found)
        assert "vm.id" not in parameters or [vm["vm.id"] for vm in found] == [parameters["vm.id"]]
    return bodies[0]


def _line(name: str, size: int, ours: Speed, theirs: Speed) -> str:
    mine, other = 1000 * median(ours.single), 1000 * median(theirs.single)
    tail, other_tail = 1000 * _p99(ours.single), 1000 * _p99(theirs.single)
    return (
        f"{name:<12}{size:>7}{mine:>9.2f}{tail:>9.2f}{other:>7.2f}{other_tail:>7.2f}{mine / other:>8.1f}"
        f"{ours.rate:>14.0f}{theirs.rate:>8.0f}{theirs.rate / ours.rate:>8.1f}"
    )


# --- the bare route


def _bare_app(folder: Path) -> FastAPI:
    app = FastAPI()

    def add(path: str, body: bytes) -> None:
        async def answer() -> Response:
            return Response(body, media_type="text/plain;charset=UTF-8")

        app.add_api_route(path, answer, methods=["POST"])

    for file in sorted(folder.iterdir()):
        add(f"/{file.name}", file.read_bytes())
    return app


if __name__ == "__main__":
    uvicorn.run(
        _bare_app(Path(sys.argv[1])), port=int(sys.argv[2]), loop="asyncio", access_log=False, log_level="warning"
    )
