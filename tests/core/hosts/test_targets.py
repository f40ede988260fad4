"""The list of targets from the inventory, and as a document of service discovery."""

from __future__ import annotations

from datetime import UTC, datetime
from string import ascii_lowercase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.compute.rows import Vm
from core.db.engine import Database
from core.errors import Invalid
from core.hosts.rows import Host, HostState
from core.hosts.targets import Exporter, Target, TargetReader, as_file_sd, from_file_sd, list_targets
from core.tenancy.rows import Tenant

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IDS = st.text(ascii_lowercase + "0123456789-", min_size=1, max_size=10)


def host(name: str, **more: object) -> Host:
    given_values = {"vm_exporter_url": None} | more
    return Host(
        id=name, name=name, created_at=NOW, address="10.0.0.1", exporter_url=f"http://{name}:9100/metrics",
        state_since=NOW, **given_values,
    )  # fmt: skip


def test_every_host_is_scraped_with_the_vms_that_the_inventory_places_on_it(database: Database) -> None:
    with database.platform(write=True) as session:
        session.add(Tenant(id="t-1", name="tenant", created_at=NOW))
        session.add(host("h-1", vm_exporter_url="http://h-1:9177/metrics"))
        session.add(host("h-2", maintenance=True, state=HostState.OFFLINE))
        session.flush()
        for number, place in enumerate(["h-1", "h-1", "h-2", None]):
            session.add(vm(number, place))
    with database.platform() as session:
        targets = list_targets(session)
    assert [target.id for target in targets] == ["h-1/libvirt", "h-1/node", "h-2/node"]
    assert targets[0].vms == {"u0": "vm-0", "u1": "vm-1"}
    assert targets[2] == Target("h-2/node", "h-2", Exporter.NODE, "http://h-2:9100/metrics")


def test_a_reader_gives_the_same_list_until_the_tables_say_something_else(database: Database) -> None:
    reader = TargetReader()
    with database.platform(write=True) as session:
        assert reader.read(session) == ()
        session.add(Tenant(id="t-1", name="one", created_at=NOW))
        session.add(host("h-1", vm_exporter_url="http://h-1:9177/metrics"))
        session.flush()
        session.add(vm(0, "h-1"))
        session.flush()
        before = reader.read(session)
        assert reader.read(session) is before
        session.add(vm(1, "h-1"))
        session.flush()
        assert reader.read(session) == list_targets(session) != before


def vm(number: int, place: str | None) -> Vm:
    return Vm(
        id=f"vm-{number}", tenant_id="t-1", host_id=place, name="vm", created_at=NOW, vcpus=1, memory_mb=1,
        domain_uuid=f"u{number}",
    )  # fmt: skip


@st.composite
def targets(draw: st.DrawFn) -> Target:
    host_id, exporter = draw(IDS), draw(st.sampled_from(Exporter))
    path = draw(st.sampled_from(["/metrics", "/", "/a/b", "/metrics?x=1&y=a+b", "/probe?target=http%3A%2F%2Fz"]))
    url = f"{draw(st.sampled_from(['http', 'https']))}://{draw(IDS)}:{draw(st.integers(1, 65535))}{path}"
    vms = draw(st.dictionaries(IDS, IDS, max_size=3)) if exporter is Exporter.LIBVIRT else {}
    return Target(f"{host_id}/{exporter}", host_id, exporter, url, vms)


@settings(deadline=None)
@given(st.lists(targets(), unique_by=lambda target: target.id))
def test_the_document_of_service_discovery_gives_back_the_same_targets(wanted: list[Target]) -> None:
    assert from_file_sd(as_file_sd(wanted)) == tuple(sorted(wanted, key=lambda target: target.id))


def test_a_group_written_by_hand_needs_only_the_host() -> None:
    document = [{"targets": ["10.0.0.5:9100"], "labels": {"host_id": "h-5"}}]
    assert from_file_sd(document) == (Target("h-5/node", "h-5", Exporter.NODE, "http://10.0.0.5:9100/metrics"),)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({}, "list of groups"),
        ([1], r"targets\[0\]"),
        ([{"targets": ["a:1"]}], "host_id"),
        ([{"targets": ["a:1"], "labels": {"host_id": "h", "exporter": "snmp"}}], "snmp"),
        ([{"targets": ["a:1", "b:1"], "labels": {"host_id": "h"}}], "more than once"),
        ([{"targets": ["a:1"], "labels": {"host_id": "h", "__meta_starvc_vms": "x"}}], "domain=vm"),
    ],
)
def test_a_wrong_document_says_where_and_what(document: object, complaint: str) -> None:
    with pytest.raises(Invalid, match=complaint):
        from_file_sd(document)
