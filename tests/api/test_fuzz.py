"""Every operation called at random, on a cloud where what is accepted really happens: never an internal error, always
an envelope, and what is refused changes nothing.

Schemathesis cannot do this: the parameters are Base64 inside one form field, which it fills with arbitrary text that
never reaches an operation, so the requests are drawn from the same declarations that the OpenAPI document is made of.

STARVC_FUZZ_CASES: how many requests, for all databases together; a tenth of them goes to PostgreSQL.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
from anyio.from_thread import BlockingPortal
from sqlalchemy import Table, TextClause, text
from structlog.testing import capture_logs

from api.operations.table import TABLE
from api.wire.app import BASE
from api.wire.client import Answer, NotAnAnswer, unpack
from api.wire.operation import Operation
from core.compute.rows import VmState
from core.db.engine import METADATA
from core.settings import Settings
from core.tasks.rows import TaskState
from tests.api.conftest import Cloud, a_cloud
from tests.conftest import shelf_of
from tests.support.furnished import furnish
from tests.support.guesses import Request, drawn, requests
from tests.support.state import KINDS

CASES: Final = int(os.environ.get("STARVC_FUZZ_CASES", "350"))
SHARES: Final = {"sqlite": 0.9, "postgresql": 0.1}
ENOUGH: Final = 9000
"""In so many requests every operation is accepted at least once."""
BATCH: Final = 250
"""So many requests are sent to one cloud: what deletes leaves less and less to find."""
STRETCH: Final = 8
"""Of four stretches of so many requests, tasks wait during one: they may be cancelled."""
SLOWEST: Final = 10.0
"""Seconds after which an answer counts as hung."""
UNCHANGED: Final = [table for table in METADATA.sorted_tables if table.name not in {"audit_entry", "audit_object"}]
"""What is refused may be noted in the audit log alone; and of every token is known when it was used last."""
NewCloud = Callable[[], AbstractContextManager[Cloud]]


@dataclass
class Fuzz:
    """A cloud, what is in it, and what was found wrong."""

    cloud: Cloud
    http: httpx.Client
    found: list[str] = field(default_factory=list)
    results: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.cloud.connect()
        furnish(self.cloud)
        self.state = self._state()
        clients = {"alice": self.cloud.alice, "bob": self.cloud.bob, "platform": self.cloud.platform}
        self.tenants = {"alice": self.cloud.alice_id, "bob": self.cloud.bob_id}
        self.tokens = {name: client._http.headers["KEY_TOKEN"] for name, client in clients.items()}

    def send(self, request: Request) -> None:
        """And look at the answer, the log and the database."""
        if request.operation.name == "PUT cloudtask/cancel":
            self._let_something_wait()
        params = request.filled(self._ids(self.tenants.get(request.caller)), self._ids())
        began = time.monotonic()
        with capture_logs() as log:
            response = self._call(request, params)
            self._judge(request, params, response)
            answer = _envelope(response)
            if answer and answer.succeeded and self.results.total() // STRETCH % 4:
                self.cloud.settle()
        self.accepted[request.operation.name] += bool(answer and answer.succeeded)
        self.results[f"{response.status_code} {answer.result if answer else 'none'}"] += 1
        self._expect(time.monotonic() - began < SLOWEST, request, params, "hung")
        errors = [entry for entry in log if entry["log_level"] in {"error", "critical"}]
        self._expect(not errors, request, params, f"logged {errors}")
        before, self.state = self.state, self._state()
        if answer is None or not answer.succeeded:
            changed = [name for name in before if before[name] != self.state[name]]
            self._expect(not changed, request, params, f"was refused, and changed {changed}")

    def _let_something_wait(self) -> None:
        """Somebody opens a VM: only what waits can be cancelled, and hardly anything ever does."""
        own = self._ids(self.cloud.alice_id)
        if own["vpc"] and not own["queued_task"]:
            wish = {"vm.tenant.model": "debian-12", "vm.vcpu.num": 1, "vm.memory.mem": 512}
            self.cloud.alice("cloudvm/create", {**wish, "vnic.portgroupid": own["vpc"][0]})
            self.state = self._state()

    def _call(self, request: Request, params: Any) -> httpx.Response:
        operation = request.operation
        headers = {"KEY_TOKEN": self.tokens.get(request.caller, "nobody's"), "accept-language": request.language}
        path, body = operation.path, b""
        if operation.path_parameter is not None:
            value = params.get(operation.path_parameter, "") if isinstance(params, dict) else params
            segment = quote(str(value).encode("utf-8", "surrogatepass")[:2000], safe="")
            path = f"{operation.path.rpartition('/')[0]}/{segment}"
        if operation.has_body:
            body = request.damage.packed(params)
            headers["content-type"] = request.damage.type
        return self.http.request(operation.method, f"{BASE}/{path}", content=body, headers=headers)

    def _judge(self, request: Request, params: Any, response: httpx.Response) -> None:
        answer = _envelope(response)
        self._expect(response.status_code in {200, 404, 405, 413}, request, params, f"{response.status_code} {answer}")
        self._expect(response.headers["content-type"] == "text/plain;charset=UTF-8", request, params, "no plain text")
        if answer is None:
            self._expect(False, request, params, "no envelope")
            return
        told = answer.text.strip() != "" and answer.data is None and answer.task_id is None
        allowed = answer.result == "0" and answer.text == "" if answer.succeeded else told
        self._expect(answer.result in {"0", "1", "1003"} and allowed, request, params, f"a strange envelope: {answer}")

    def _expect(self, good: bool, request: Request, params: Any, what: str) -> None:
        if not good:
            shown = repr(params)[:1500]
            self.found.append(f"{request.operation.name} as {request.caller}, {request.damage}: {shown}\n    {what}")

    def _ids(self, tenant: str | None = None) -> dict[str, list[str]]:
        """What there is of each table, of one tenant or of all; and of the rows that are something of their own."""
        rows = {
            table: [row for row in self.state[table.name] if tenant in {None, _owner(table, row)}]
            for table in UNCHANGED
        }
        found = {table.name: [str(row[_NAMES.get(table.name, 0)]) for row in rows[table]] for table in UNCHANGED}
        for kind, (table, column, value) in _SOME.items():
            place = _place(table, column)
            found[kind] = [str(row[_NAMES[table.name]]) for row in rows[table] if row[place] == value]
        return found

    def _state(self) -> Mapping[str, list[Any]]:
        with self.cloud.services.database.platform() as session:
            return {table.name: sorted(map(tuple, session.execute(_all_of(table))), key=repr) for table in UNCHANGED}


def _columns(table: Table) -> list[str]:
    return [name for name in table.c.keys() if name != "last_used_at"]  # noqa: SIM118 (of its values `in` asks)


def _place(table: Table, column: str) -> int:
    return _columns(table).index(column)


def _all_of(table: Table) -> TextClause:
    """As the database holds them, without the types of the columns."""
    names = ", ".join(f'"{name}"' for name in _columns(table))
    return text(f"SELECT {names} FROM {table.name}")


_NAMES: Final = {
    table.name: _place(table, column) for table in UNCHANGED for column in ("ip", "id") if column in table.c
}
"""The column by which others name a row: its id, or else its address."""


def _owner(table: Table, row: Any) -> str | None:
    if table.name == "tenant":
        return str(row[_NAMES["tenant"]])
    return str(row[_place(table, "tenant_id")]) if "tenant_id" in table.c else None


_SOME: Final[Mapping[str, tuple[Table, str, int | str]]] = {
    "template": (METADATA.tables["vm"], "is_template", True),
    "stopped_vm": (METADATA.tables["vm"], "state", VmState.STOPPED),
    "data_disk": (METADATA.tables["disk"], "is_system", False),
    "bare_tenant": (METADATA.tables["tenant"], "name", "bare"),
    "spare_vpc": (METADATA.tables["vpc"], "name", "spare"),
    "queued_task": (METADATA.tables["task"], "state", TaskState.QUEUED),
}
"""Kinds of rows: the table, and what a column says of them."""


def _envelope(response: httpx.Response) -> Answer | None:
    try:
        return unpack(response.status_code, response.content)
    except NotAnAnswer:
        return None


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def new_cloud(kind: str, request: pytest.FixtureRequest, tmp_path: Path, portal: BlockingPortal) -> NewCloud:
    """A cloud of its own each time, on the kind of database."""
    folders = count()

    @contextmanager
    def make() -> Iterator[Cloud]:
        folder = tmp_path / str(next(folders))
        folder.mkdir()
        settings = Settings(data_dir=folder, timezone="Asia/Shanghai", request_rate=0)
        with shelf_of(kind, request).lend() as database, a_cloud(settings, database, portal) as made:
            yield made

    return make


def _cases(operations: tuple[Operation, ...], count: int, number: int) -> list[Request]:
    """`count` requests at most, each operation about as often as the others, in any order."""
    each = -(-count // len(operations))
    cases = [case for place, one in enumerate(operations) for case in drawn(requests(one), each, number + place)]
    random.Random(number).shuffle(cases)
    return cases[:count]


@pytest.mark.timeout(3600 if CASES > 1000 else 120)
def test_nothing_that_is_sent_breaks_anything(
    kind: str, new_cloud: NewCloud, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = _cases(TABLE.operations, int(CASES * SHARES[kind]), len(kind))
    found: list[str] = []
    results: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    for start in range(0, len(cases), BATCH):
        with new_cloud() as cloud, cloud.http() as http:
            fuzz = Fuzz(cloud, http, found, results, accepted)
            for case in cases[start : start + BATCH]:
                fuzz.send(case)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    with capsys.disabled():
        print(f"\n{kind}: {sum(results.values())} requests, answers {dict(results.most_common())}")
        if len(cases) >= ENOUGH:
            print(*(f"{times:6} {name}" for name, times in sorted(accepted.items())), sep="\n")
    assert found == [], f"{len(found)} findings:\n" + "\n".join(found[:40])
    if len(cases) >= ENOUGH:
        assert [one.name for one in TABLE.operations if not accepted[one.name]] == [], "never accepted"
