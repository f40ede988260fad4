"""Who may see what: every built operation against another tenant's object, and platform operations with a tenant's
token.
"""

from __future__ import annotations

import pytest

from api.operations.table import SECTIONS
from core.alarms.finding import Severity
from core.alarms.rows import Alarm
from core.context import Role
from core.timeseries.fields import Kind
from tests.api.conftest import Cloud

OPERATIONS = [operation for section in SECTIONS for operation in section.operations]
PLATFORM = [operation for operation in OPERATIONS if operation.role is Role.PLATFORM]
BUILT_FOR_TENANTS = [item for item in OPERATIONS if item.is_built and item.role is Role.TENANT]

VM = {"monitor.obj.type": "vm", "monitor.obj": "vm-3"}
LINE = {**VM, "lineType": "minute"}
FOREIGN: dict[str, tuple[str, dict[str, object] | None]] = {
    "GET cloudvm/{vmId}": ("cloudvm/vm-3", None),
    "POST cloudmonitor/compute/current": ("cloudmonitor/compute/current", VM),
    "POST cloudmonitor/compute/history": ("cloudmonitor/compute/history", LINE),
    "POST cloudmonitor/disk/history": ("cloudmonitor/disk/history", LINE),
    "POST cloudmonitor/net/history": ("cloudmonitor/net/history", LINE),
    "POST cloudmonitor/everydisk/current": ("cloudmonitor/everydisk/current", VM),
    "POST cloudmonitor/everynet/current": ("cloudmonitor/everynet/current", VM),
    "PUT cloudalarm/relieve": ("cloudalarm/relieve", {"alarm.id": "alarm-bob"}),
    "PUT cloudalarm/acknowledge": ("cloudalarm/acknowledge", {"alarm.id": "alarm-bob"}),
    "PUT cloudalarm/shelve": (
        "cloudalarm/shelve",
        {"alarm.id": "alarm-bob", "alarm.shelve.endtime": "2030-01-01 00:00:00"},
    ),
    "POST cloudalarm/history": ("cloudalarm/history", {"alarm.id": "alarm-bob"}),
}
"""Operation -> how alice asks for what is bob's."""

SEARCHES: dict[str, tuple[str, dict[str, object]]] = {
    "POST cloudvm/search": ("cloudvm/search", {"vm.id": "vm-3"}),
    "POST cloudalarm/search": ("cloudalarm/search", {"isfindPage": True, "alarm.objid": "vm-3"}),
    "POST cloudmonitor/compute/currents": (
        "cloudmonitor/compute/currents", {"monitor.obj.type": "vm", "monitor.objids": ["vm-3"]},
    ),
}  # fmt: skip
"""Searches that name what is bob's: alice finds nothing."""


def test_every_built_operation_is_in_the_matrix() -> None:
    assert {operation.name for operation in BUILT_FOR_TENANTS} == FOREIGN.keys() | SEARCHES.keys()


def _raise_alarm(cloud: Cloud) -> None:
    with cloud.services.database.platform(write=True) as session:
        session.add(
            Alarm(
                id="alarm-bob", rule_id="r", object_kind=Kind.VM, object_id="vm-3", object_name="web3",
                tenant_id=cloud.bob_id, category="cpu", severity=Severity.HIGH, max_severity=Severity.HIGH,
                content_zh="高", content_en="high", created_at=cloud.clock.now(),
            )
        )  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_another_tenants_object_is_not_found(cloud: Cloud, name: str) -> None:
    _raise_alarm(cloud)
    path, params = FOREIGN[name]
    method = name.split()[0]
    answer = cloud.alice.call(method, path, params)
    assert answer.result == "1"
    assert "[not_found]" in answer.text
    absent = answer.text.replace("vm-3", "vm-404").replace("alarm-bob", "alarm-404")
    nobodys = {
        key: str(value).replace("vm-3", "vm-404").replace("alarm-bob", "alarm-404")
        for key, value in (params or {}).items()
    }
    assert cloud.alice.call(method, path.replace("vm-3", "vm-404"), nobodys).text == absent, "no probing"


@pytest.mark.parametrize("name", SEARCHES)
def test_searches_do_not_find_another_tenants_objects(cloud: Cloud, name: str) -> None:
    _raise_alarm(cloud)
    path, params = SEARCHES[name]
    assert cloud.alice.call("POST", path, params).data == []
    for owner in (cloud.bob, cloud.platform):
        data = owner.call("POST", path, params).data
        assert isinstance(data, list)
        assert len(data) == 1


@pytest.mark.parametrize("operation", PLATFORM, ids=lambda operation: operation.name)
def test_platform_operations_refuse_a_tenants_token(cloud: Cloud, operation: object) -> None:
    assert operation in PLATFORM
    path = operation.path.split("{")[0] + ("x" if "{" in operation.path else "")  # type: ignore[attr-defined]
    answer = cloud.alice.call(operation.method, path, {})  # type: ignore[attr-defined]
    assert (answer.status, answer.result) == (200, "1")
    assert "[forbidden]" in answer.text


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("cloudmonitor/compute/current", {"monitor.obj.type": "host", "monitor.obj": "host-1"}),
        ("cloudmonitor/compute/currents", {"monitor.obj.type": "host", "monitor.objids": ["host-1"]}),
        ("cloudmonitor/disk/history", {"monitor.obj.type": "host", "monitor.obj": "host-1", "lineType": "day"}),
    ],
)
def test_monitoring_of_hosts_is_the_platforms(cloud: Cloud, path: str, params: dict[str, object]) -> None:
    assert "[forbidden]" in cloud.alice.call("POST", path, params).text
    assert cloud.platform.call("POST", path, params).succeeded


def test_a_tenant_is_not_shown_where_its_vm_runs(cloud: Cloud) -> None:
    for path in ("cloudvm/vm-1", "cloudvm/search"):
        own, all_ = (
            (client.call("GET" if "-" in path else "POST", path)).data for client in (cloud.alice, cloud.platform)
        )
        mine, theirs = (data[0] if isinstance(data, list) else data for data in (own, all_))
        assert isinstance(mine, dict)
        assert isinstance(theirs, dict)
        assert "vm.hostid" not in mine
        assert theirs["vm.hostid"] == "host-1"
