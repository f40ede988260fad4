"""The inventory is read again only where the tables say something else; then it is what is read at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from aggregator.rules.reading import InventoryReader, read_inventory
from core.compute.inventory import DiskSpec, HostSpec, NicSpec, VmSpec, ensure_host, ensure_vms
from core.compute.rows import Disk, Nic, Vm, VmState
from core.db.engine import Database
from core.hosts.rows import Host, HostState, Origin
from core.tenancy.rows import Quota, Tenant

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def fill(session: Session) -> None:
    session.add(Tenant(id="t-1", name="one", created_at=NOW))
    session.flush()
    session.add(Quota(tenant_id="t-1"))


def spec(number: int) -> VmSpec:
    return VmSpec(
        id=f"vm-{number}",
        tenant_id="t-1",
        host_id="h-1",
        domain_uuid=f"u-{number}",
        name="web",
        vcpus=2,
        memory_mb=1024,
        disks=(DiskSpec(id=f"d-{number}", device="vda", size_gb=1),),
        nics=(NicSpec(id=f"n-{number}", device=f"vnet{number}", mac=f"52:54:00:00:00:0{number}"),),
    )


def test_an_empty_installation_has_an_empty_inventory(database: Database) -> None:
    with database.platform() as session:
        found = InventoryReader().read(session)
    assert (list(found.hosts), list(found.vms), list(found.disks), list(found.nics)) == ([], [], [], [])


@pytest.mark.parametrize(
    "change",
    [
        lambda session: session.execute(update(Vm).where(Vm.id == "vm-1").values(name="renamed")),
        lambda session: session.execute(update(Vm).where(Vm.id == "vm-1").values(state=VmState.STOPPED)),
        lambda session: session.execute(update(Vm).values(host_state=HostState.FAULT_DETECTING)),
        lambda session: session.execute(update(Vm).where(Vm.id == "vm-2").values(host_id=None)),
        lambda session: session.execute(update(Host).values(maintenance=True)),
        lambda session: session.execute(update(Disk).where(Disk.id == "d-1").values(device="vdb")),
        lambda session: session.execute(delete(Nic)),
    ],
)
def test_every_change_is_seen_and_nothing_else_is_read_again(
    database: Database, change: Callable[[Session], object]
) -> None:
    reader = InventoryReader()
    with database.platform(write=True) as session:
        fill(session)
        host = HostSpec(id="h-1", name="one", origin=Origin.SIMULATED, address="127.0.0.1", exporter_url="http://x/")
        ensure_host(session, host, NOW)
        session.flush()
        ensure_vms(session, [spec(1), spec(2)], NOW)
        before = reader.read(session)
        assert reader.read(session).vms is before.vms
        assert before == read_inventory(session)
        change(session)
        assert reader.read(session) == read_inventory(session) != before
