"""The collected fields on /metrics: in base units, with the names of the inventory, and only while they are current."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from api.cloud_metrics import CloudPage, metric_name
from core.clock import VirtualClock
from core.compute.inventory import HostSpec, VmSpec, ensure_host, ensure_vms
from core.compute.rows import Vm
from core.db.engine import Database
from core.hosts.rows import Origin
from core.tenancy.rows import Quota, Tenant
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.fields import COLUMN, FIELDS, Kind
from core.timeseries.recent import RecentStore
from core.timeseries.store import Frame

INTERVAL = 10.0


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RecentStore]:
    made = RecentStore(EmbeddedStore(tmp_path / "series"))
    yield made
    made.close()


@pytest.fixture
def page(database: Database, store: RecentStore, clock: VirtualClock) -> CloudPage:
    with database.platform(write=True) as session:
        session.add(Tenant(id="t-1", name="one", created_at=clock.now()))
        session.flush()
        session.add(Quota(tenant_id="t-1"))
        host = HostSpec(
            id="h-1", name="node-1", origin=Origin.REGISTERED, address="127.0.0.1", exporter_url="http://x/"
        )
        ensure_host(session, host, clock.now())
        session.flush()
        vm = VmSpec(id="vm-1", tenant_id="t-1", host_id="h-1", domain_uuid="u-1", name="web", vcpus=2, memory_mb=1024)
        ensure_vms(session, [vm], clock.now())
    return CloudPage(database, store, clock, INTERVAL)


def _samples(page: CloudPage) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(page.render().decode())
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def _value(page: CloudPage, name: str, labels: Mapping[str, str]) -> float | None:
    return _samples(page).get((name, frozenset(labels.items())))


def _write(store: RecentStore, kind: Kind, name: str, at: float, **values: float) -> None:
    row = np.full((1, len(FIELDS[kind])), np.nan)
    for field, value in values.items():
        row[0, COLUMN[kind][field]] = value
    store.write([Frame(kind, (name,), np.array([at]), row)])


VM_LABELS = {"vm_id": "vm-1", "vm": "web", "tenant": "t-1", "host_id": "h-1"}


def test_a_vm_has_its_tenant_and_base_units(page: CloudPage, store: RecentStore, clock: VirtualClock) -> None:
    _write(store, Kind.VM, "vm-1", clock.now().timestamp(), cpu_rate=42.0, disk_read=1.5, mem_size=1024.0)
    assert _value(page, "starvc_vm_cpu_rate_percent", VM_LABELS) == 42.0
    assert _value(page, "starvc_vm_disk_read_bytes_per_second", VM_LABELS) == 1536.0
    assert _value(page, "starvc_vm_mem_size_bytes", VM_LABELS) == 1024.0**3


def test_what_is_not_measured_is_absent_not_zero(page: CloudPage, store: RecentStore, clock: VirtualClock) -> None:
    _write(store, Kind.VM, "vm-1", clock.now().timestamp(), cpu_rate=42.0)
    assert _value(page, "starvc_vm_net_up_bytes_per_second", VM_LABELS) is None


def test_an_old_value_is_absent(page: CloudPage, store: RecentStore, clock: VirtualClock) -> None:
    _write(store, Kind.VM, "vm-1", clock.now().timestamp(), cpu_rate=42.0)
    clock.instant += timedelta(seconds=3 * INTERVAL + 1)
    assert _value(page, "starvc_vm_cpu_rate_percent", VM_LABELS) is None


def test_an_object_that_the_inventory_does_not_know_is_left_out(
    page: CloudPage, store: RecentStore, clock: VirtualClock
) -> None:
    _write(store, Kind.VM, "vm-gone", clock.now().timestamp(), cpu_rate=42.0)
    names = {name for name, _ in _samples(page)}
    assert "starvc_vm_cpu_rate_percent" not in names


def test_disks_and_nics_carry_their_owner(page: CloudPage, store: RecentStore, clock: VirtualClock) -> None:
    _write(store, Kind.DISK, "vm-1/vda", clock.now().timestamp(), size=10.0)
    _write(store, Kind.NIC, "h-1/eth0", clock.now().timestamp(), down=1.0)
    disk = {"owner_id": "vm-1", "device": "vda", "tenant": "t-1"}
    nic = {"owner_id": "h-1", "device": "eth0", "tenant": ""}
    assert _value(page, "starvc_disk_size_bytes", disk) == 10240.0
    assert _value(page, "starvc_nic_down_bytes_per_second", nic) == 1024.0


def test_any_name_that_people_give_stands_in_a_label(
    page: CloudPage, database: Database, store: RecentStore, clock: VirtualClock
) -> None:
    name = 'a "quoted" \\ name\nof two lines'
    with database.platform(write=True) as session:
        session.execute(update(Vm).values(name=name))
    _write(store, Kind.VM, "vm-1", clock.now().timestamp(), cpu_rate=0.1)
    assert _value(page, "starvc_vm_cpu_rate_percent", VM_LABELS | {"vm": name}) == 0.1


def test_names_are_unique() -> None:
    names = [metric_name(kind, field) for kind, fields in FIELDS.items() for field in fields]
    assert len(set(names)) == len(names)
