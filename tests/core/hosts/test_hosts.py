"""Registering, finding, maintaining and deleting hosts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.compute.inventory import ensure_host, ensure_vms
from core.errors import Conflict, Invalid, NotFound
from core.hosts.hosts import FindHosts, HostRef, RegisterHost, SetMaintenance, delete, register, search, set_maintenance
from core.hosts.rows import HostState
from core.tenancy.tenants import CreateTenant, create
from tests.support.inventory import a_host, a_vm
from tests.support.requests import Desk

NODE = RegisterHost(name="node1", address="10.0.0.1", exporter_url="http://10.0.0.1:9100/metrics", description="d")


def test_a_registered_host_is_found(desk: Desk) -> None:
    made = desk.platform(register, replace(NODE, vm_exporter_url="https://[fd00::1]:9177/metrics"))
    (host,) = desk.platform(search, FindHosts(id=made.id)).rows
    assert (host.name, host.address, host.description, host.registered) == ("node1", "10.0.0.1", "d", True)
    assert (host.state, host.connected, host.maintenance) == (HostState.RUNNING, False, False)
    assert host.created_at == desk.clock.now()


@pytest.mark.parametrize(
    ("find", "count"), [(FindHosts(), 2), (FindHosts(address="10.0.0.2"), 1), (FindHosts(address="10.0.0"), 0)]
)
def test_filters_are_exact(desk: Desk, find: FindHosts, count: int) -> None:
    with desk.database.platform(write=True) as session:
        for number in (1, 2):
            ensure_host(session, a_host(number), desk.clock.now())
    assert desk.platform(search, find).total == count
    assert desk.platform(search, FindHosts(id="host-1")).rows[0].memory_gb == 128.0


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("address", "node1", "is not an IP address"),
        ("address", "10.0.0.256", "is not an IP address"),
        ("exporter_url", "10.0.0.1:9100/metrics", "scheme"),
        ("exporter_url", "/metrics", "scheme missing"),
        ("exporter_url", "file:///etc/passwd", "scheme file"),
        ("exporter_url", "http://", "no host"),
        ("exporter_url", "http://h:0/metrics", "no port"),
        ("exporter_url", "http://h:99999/metrics", "not a URL"),
        ("exporter_url", "http://[::1/metrics", "not a URL"),
        ("exporter_url", "http://h/a b", "white space"),
        ("vm_exporter_url", "ftp://h/metrics", "scheme ftp"),
    ],
)
def test_a_wrong_address_or_url_is_named_with_what_is_allowed(desk: Desk, field: str, value: str, problem: str) -> None:
    with pytest.raises(Invalid, match=f"^{field}: .*{problem}.*; allowed: "):
        desk.platform(register, replace(NODE, **{field: value}))
    assert desk.platform(search, FindHosts()).total == 0


def test_a_page_is_watched_once(desk: Desk) -> None:
    first = desk.platform(register, NODE)
    with pytest.raises(Conflict, match=f"{first.id}.*already"):
        desk.platform(register, replace(NODE, name="again"))


def test_maintenance_is_set_and_ended(desk: Desk) -> None:
    made = desk.platform(register, NODE)
    for wanted, description, expected in ((True, "new disks", "new disks"), (False, None, "new disks")):
        desk.platform(set_maintenance, SetMaintenance(id=made.id, maintenance=wanted, description=description))
        (host,) = desk.platform(search, FindHosts()).rows
        assert (host.maintenance, host.description) == (wanted, expected)
    with pytest.raises(NotFound):
        desk.platform(set_maintenance, SetMaintenance(id="host-none", maintenance=True))


def test_a_host_with_vms_stays_and_they_are_named(desk: Desk) -> None:
    tenant = desk.platform(create, CreateTenant(name="a")).id
    with desk.database.platform(write=True) as session:
        ensure_host(session, a_host(1), desk.clock.now())
        ensure_vms(session, [a_vm(number, tenant) for number in range(1, 13)], desk.clock.now())
    with pytest.raises(Conflict, match=r"VMs are on it: web1, web10, .* and 2 more"):
        desk.platform(delete, HostRef(id="host-1"))


def test_an_empty_host_is_deleted_once(desk: Desk) -> None:
    made = desk.platform(register, NODE)
    desk.platform(delete, HostRef(id=made.id))
    assert desk.platform(search, FindHosts()).total == 0
    with pytest.raises(NotFound):
        desk.platform(delete, HostRef(id=made.id))
