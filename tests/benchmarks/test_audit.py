"""What the audit log costs a write operation: the same calls with and without their entries, in turns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter

import pytest
from sqlalchemy import update

from core.audit import log
from core.audit.log import Deed, End
from core.audit.rows import Outcome
from core.compute.inventory import ensure_host, ensure_vms
from core.compute.rows import Vm
from core.context import Role
from core.db.engine import Database
from core.tenancy.rows import Tenant
from tests.support.inventory import a_host, a_vm

_TIMES = 300


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{tmp_path / 'starvc.db'}")) as made:
        made.migrate()
        yield made


@pytest.mark.benchmark
def test_an_entry_beside_a_write(database: Database) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    with database.platform(write=True) as session:
        session.add(Tenant(id="t1", name="t1", created_at=now))
        session.flush()
        ensure_host(session, a_host(1), now)
        ensure_vms(session, [a_vm(1, "t1")], now)
    deed = Deed(
        operation="PUT cloudvm/modify", address="127.0.0.1", role=Role.TENANT, token_id="token-1", tenant_id="t1",
        parameters={"vm.id": None}, objects={"vm-1": "vm.id", "task-1": "startid"},
    )  # fmt: skip
    spent: dict[bool, list[float]] = {False: [], True: []}
    for number in range(2 * _TIMES):
        recorded = bool(number % 2)
        began = perf_counter()
        with database.tenant("t1", write=True) as session:
            session.execute(update(Vm).where(Vm.id == "vm-1").values(name=f"n{number}"))
            if recorded:
                log.record(session, now, deed, End(outcome=Outcome.SUCCEEDED))
        spent[recorded].append(perf_counter() - began)
    without, with_entry = (1000 * median(spent[recorded]) for recorded in (False, True))
    ratio = with_entry / without
    print(f"\na write: {without:.2f} ms; with its entry and two objects: {with_entry:.2f} ms (x{ratio:.2f})")
    with database.platform() as session:
        assert session.query(log.AuditEntry).count() == _TIMES
