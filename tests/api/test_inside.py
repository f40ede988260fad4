"""What tenants are not told of the platform: hosts, their room, their addresses, and where storages are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from api.wire.client import StarVCenter
from core.alarms.finding import Severity
from core.alarms.rows import Alarm
from core.drivers.compute import Unreachable
from core.hosts.rows import Host
from core.hosts.storage_rows import Storage, StorageAccess, StorageForm, StorageType, StorageUse
from core.timeseries.fields import Kind
from tests.api.conftest import PLATFORM_TOKEN, Cloud
from tests.support.product import fields, rows

Ask = Callable[[StarVCenter], str]


def _text(answer: object) -> str:
    return json.dumps(answer, ensure_ascii=False)


def _vpc(cloud: Cloud) -> str:
    return str(fields(cloud.alice("cloudnetwork/vpc/create"))["vpc.id"])


def _open(cloud: Cloud, **more: object) -> tuple[str, str]:
    """The VM and its task, which has ended."""
    wish = {"vm.tenant.model": "debian-12", "vm.vcpu.num": 1, "vm.memory.mem": 512, "vnic.portgroupid": _vpc(cloud)}
    (opened,) = rows(cloud.alice("cloudvm/create", {**wish, **more}))
    cloud.settle()
    return opened["vm.id"], opened["jobstartid"]


def _reasons(cloud: Cloud, task_id: str) -> tuple[str, str]:
    """As the tenant reads it, and as the platform does."""
    told: list[dict[str, Any]] = [
        rows(client("cloudtask/search", {"startid": task_id}))[0] for client in (cloud.alice, cloud.platform)
    ]
    return told[0]["task.resultinfo"], told[1]["task.resultinfo"]


def _names_hosts(cloud: Cloud, text: str) -> bool:
    return any(name in text for name in ("host-1", *cloud.world.host_ids()))


def test_a_tenant_does_not_read_why_each_host_cannot_take_its_vm(cloud: Cloud) -> None:
    cloud.connect()
    _, task_id = _open(cloud, **{"vm.vcpu.num": 1000})
    tenant, platform = _reasons(cloud, task_id)
    assert tenant.endswith("no host can take it")
    assert not _names_hosts(cloud, tenant)
    assert platform.startswith(f"{tenant}: ")
    assert all(host in platform for host in cloud.world.host_ids())
    assert "1000 vCPUs wanted" in platform


def test_a_tenant_does_not_read_how_full_the_host_of_its_vm_is(cloud: Cloud) -> None:
    cloud.connect()
    vm, _ = _open(cloud)
    assert cloud.alice.call("PUT", "cloudvm/destroy", {"vm.id": vm}).succeeded
    cloud.settle()
    resize = cloud.alice.call("PUT", "cloudvm/cpu/modify", {"vm.id": vm, "vm.vcpu.num": 1000})
    cloud.settle()
    tenant, platform = _reasons(cloud, resize.task_id or "")
    assert tenant == f"VM {vm}: its host has not enough room"
    assert _names_hosts(cloud, platform)
    assert "vCPUs wanted" in platform


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_tenant_does_not_read_which_hypervisor_is_silent(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    cloud.connect()
    vm, _ = _open(cloud)

    def silent(_: object) -> None:
        raise Unreachable("qemu+tls://10.1.2.3/system does not answer")

    assert cloud.services.tasks is not None
    monkeypatch.setattr(cloud.services.tasks.driver, "vnc", silent)
    with cloud.services.database.platform() as session:
        assert session.get(Host, "host-1") is not None
    texts = [
        client.call("GET", f"cloudvm/connection/{vm}").text
        for client in (_as(cloud, cloud.alice, language), cloud.client(PLATFORM_TOKEN, language))
    ]
    assert "10.1.2.3" not in texts[0]
    assert "10.1.2.3" in texts[1]


def _as(cloud: Cloud, client: StarVCenter, language: str) -> StarVCenter:
    """The same tenant, in another language."""
    token = fields(cloud.platform.call("PUT", "cloudTenant/token", {"app.id": cloud.alice_id}))["app.token"]
    assert client is cloud.alice
    return cloud.client(token, language)


def test_a_tenant_does_not_read_which_host_suppresses_its_alarm(cloud: Cloud) -> None:
    with cloud.services.database.platform(write=True) as session:
        session.add(
            Alarm(
                id="alarm-1", rule_id="r", object_kind=Kind.VM, object_id="vm-1", object_name="web1",
                tenant_id=cloud.alice_id, category="cpu", severity=Severity.HIGH, max_severity=Severity.HIGH,
                created_at=cloud.clock.now(), suppressed_by="host:host-1:offline", host_id="host-1",
            )
        )  # fmt: skip
    (mine,), (seen,) = (rows(one("cloudalarm/search", {"isfindPage": True})) for one in (cloud.alice, cloud.platform))
    assert (mine["alarm.suppressedby"], seen["alarm.suppressedby"]) == ("host", "host:host-1:offline")
    assert not _names_hosts(cloud, _text(mine))


def test_a_tenant_does_not_read_where_storages_are(cloud: Cloud) -> None:
    with cloud.services.database.platform(write=True) as session:
        session.add(
            Storage(
                id="storage-1", name="pool", created_at=cloud.clock.now(), type=StorageType.CEPH, size_gb=10,
                location="10.1.2.3:/pool", ceph_monitors="10.1.2.4:6789", use=StorageUse.MAIN,
                form=StorageForm.BLOCK, access=StorageAccess.READ_WRITE,
            )
        )  # fmt: skip
    (mine,), (seen,) = (rows(one("cloudstorage/search")) for one in (cloud.alice, cloud.platform))
    assert (seen["storage.location"], seen["storage.ceph.monitorip"]) == ("10.1.2.3:/pool", "10.1.2.4:6789")
    assert (mine["storage.location"], mine["storage.ceph.monitorip"]) == ("", "")
    assert mine.keys() == seen.keys()
