"""The control plane as a third-party platform sees it: one story over the wire, in the document's order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from api.simulation import storages
from api.wire.client import Answer, StarVCenter
from core.drivers.simulated.faults import Action, Deed, Fault
from tests.api.conftest import Cloud

QUOTA = {"app.cpu.quota": 20, "app.memory.quota": 40_000, "app.storage.quota": 1000, "app.portgroup.quota": 2}


@dataclass
class Shop:
    """A tenant and its VPC."""

    cloud: Cloud
    client: StarVCenter
    tenant: str
    vpc: str

    def __call__(self, method: str, path: str, params: dict[str, object] | None = None) -> Answer:
        """Must succeed, and its task too."""
        answer = self.client.call(method, path, params)
        assert answer.succeeded, answer.text
        self.cloud.settle()
        if answer.task_id:
            assert self.ending(answer.task_id)["task.result"] == "0"
        return answer

    def refused(self, method: str, path: str, params: dict[str, object] | None = None) -> str:
        answer = self.client.call(method, path, params)
        assert answer.result == "1"
        return answer.text

    def ending(self, task_id: str) -> dict[str, Any]:
        (task,) = rows(self.client("cloudtask/search", {"startid": task_id}))
        return task

    def open(self, **more: object) -> list[str]:
        want = {"vm.tenant.model": "k8s-1-16-8", "vm.vcpu.num": 2, "vm.memory.mem": 2048, "vnic.portgroupid": self.vpc}
        opened = rows(self.client("cloudvm/create", {**want, **more}))
        self.cloud.settle()
        for one in opened:
            assert self.ending(one["jobstartid"])["task.result"] == "0"
        return [one["vm.id"] for one in opened]

    def left(self) -> dict[str, int]:
        """Numbers in the JSON, as 2.10 says."""
        data = fields(self.client("resourcequota/usableQuota", {"tenant.id": self.tenant}))
        assert all(type(value) is int for value in data.values())
        return {name: data[name] for name in ("cpu", "memory", "storage", "portGroupSize")}


def rows(answer: Answer) -> list[dict[str, Any]]:
    assert answer.succeeded, answer.text
    assert isinstance(answer.data, list)
    return answer.data


def fields(answer: Answer) -> dict[str, Any]:
    assert answer.succeeded, answer.text
    assert isinstance(answer.data, dict)
    return answer.data


@pytest.fixture
def shop(cloud: Cloud) -> Shop:
    cloud.connect()
    made = fields(cloud.platform("cloudTenant/create", {"app.name": "shop", **QUOTA}))
    client = cloud.client(made["app.token"], language="en")
    vpc = fields(client("cloudnetwork/vpc/create", {"vpc.name": "front", "vpc.desc": "shop"}))
    assert vpc["vpc.gateway"] == vpc["vpc.cidr"].replace(".0/24", ".1")
    return Shop(cloud, client, made["app.id"], vpc["vpc.id"])


def test_the_story(shop: Shop) -> None:
    platform = shop.cloud.platform
    for kind, label, value in (("tenant_type", "队列", "queues"), ("queues", "RABBIT", "rabbit-3")):
        entry = {"type*": kind, "label*": label, "value*": value}
        assert rows(platform("cloudvm/addVhostModelAndType", entry))[0]["id"]
    types = {one["vm.tenant.type"]: one for one in rows(shop.client.call("GET", "cloudvm/model"))}
    assert types["queues"]["model"] == [{"vm.tenant.mode": "rabbit-3", "vm.tenant.modelname": "RABBIT"}]
    full = shop.left()

    web = {"vm.name": "web", "vm.num": 3, "vm.tenant.model": "rabbit-3", "vm.vdisk.num": 1, "vm.vdisk.size": 10}
    first, second, third = shop.open(**web)
    assert shop.left() == {"cpu": 14, "memory": 33_856, "storage": 850, "portGroupSize": 1}
    found = rows(shop.client("cloudvm/search", {"vm.name": "WEB-2", "page.startnum": 1, "page.everypagenum": 10}))
    assert [(vm["vm.id"], vm["vm.state"], vm["vm.tenant.type"]) for vm in found] == [(second, "1", "queues")]

    named = {"vm.id": first}
    for path, state in (("destroy", "0"), ("start", "1"), ("restart", "1"), ("shutdown", "0")):
        shop("PUT", f"cloudvm/{path}", named)
        assert fields(shop.client.call("GET", f"cloudvm/{first}"))["vm.state"] == state
    assert "is stopped" in shop.refused("PUT", "cloudvm/restart", named)
    shop("PUT", "cloudvm/cpu/modify", {**named, "vm.vcpu.num": 4})
    shop("PUT", "cloudvm/mem/modify", {**named, "vm.memory.mem": 4096})
    assert (shop.left()["cpu"], shop.left()["memory"]) == (12, 31_808)

    disk = fields(shop("POST", "cloudvm/vdisk/add", {"vdisk.vmid": first, "vdisk.size": 20}))
    assert disk["vdisk.devname"] == "vdc"
    shop("PUT", "cloudvm/vdisk/extend", {"vdisk.id": disk["vdisk.id"], "vdisk.size": 30})
    assert shop.left()["storage"] == 820
    fields(shop("POST", "cloudvm/vnic/add", {"vnic.vmid": first, "vnic.portgroupid": shop.vpc}))
    nics = rows(shop.client("cloudvm/vnic/search", {"vnic.vmid": first}))
    assert [nic["vnic.vpc.name"] for nic in nics] == ["front", "front"]
    assert rows(shop.client("cloudnetwork/vpc/search"))[0]["vpc.usable.ipcount"] == "249"

    backup = fields(shop("POST", "cloudvm/backup/create", {"backup.vmid": first, "backup.name": "b"}))["backup.id"]
    shop("PUT", "cloudvm/backup/modify", {"backup.id": backup, "backup.desc": "x"})
    shop("PUT", "cloudvm/backup/restore", {"backup.id": backup})
    snapshot = fields(shop("POST", "cloudvm/snapshot/create", {"snapshot.vmid": first, "snapshot.name": "s"}))
    shop("DELETE", f"cloudvm/vdisk/{disk['vdisk.id']}")
    assert shop.left()["storage"] == 850
    shop("PUT", "cloudvm/snapshot/restore", snapshot)
    assert shop.left()["storage"] == 820
    (shown,) = rows(shop.client.call("GET", f"cloudvm/snapshot/{first}"))
    assert (shown["snapshot.enable"], shown["snapshot.name"]) == ("true", "s")
    shop("DELETE", f"cloudvm/snapshot/{snapshot['snapshot.id']}")
    shop("DELETE", f"cloudvm/backup/{backup}")

    for vm in (first, second, third):
        if vm != first:
            shop("PUT", "cloudvm/destroy", {"vm.id": vm})
        shop("DELETE", f"cloudvm/{vm}")
    assert shop.left() == full
    shop("POST", "cloudnetwork/vpc/delete", {"vpc.id": shop.vpc})
    assert shop.left()["portGroupSize"] == 2


def test_empty_answers_are_the_documents(shop: Shop) -> None:
    (vm,) = shop.open()
    named = {"vm.id": vm}
    assert shop("PUT", "cloudvm/modify", {**named, "vm.desc": "x"}).data == ""
    assert shop("POST", "cloudvm/switchfirewalld", {**named, "vm.firewalld.enable": "true"}).data == []
    assert shop("POST", "cloudvm/editvncpwd", {**named, "vm.vncpasswd": "secret"}).data is None
    assert len(fields(shop("POST", "cloudvm/setvncpwd", named))["vm.vncpasswd"]) == 8
    entry = {"type": "tenant_type", "label": "a", "value": "b"}
    platform = shop.cloud.platform
    (added,) = rows(platform("cloudvm/addVhostModelAndType", entry))
    assert platform.call("DELETE", f"cloudvm/delVhostModelAndType/{added['id']}").data == {}
    quota = {"tenantId": shop.tenant, "cpu": 30, "memory": 40_000, "storage": 900, "ip": 1, "vpc": 3}
    answer = platform("resourcequota/modify", quota)
    assert (answer.result, answer.data) == ("0", None)
    assert shop.left()["cpu"] == 28


def test_a_blank_text_clears_a_description_and_is_no_name(shop: Shop) -> None:
    (vm,) = shop.open(**{"vm.name": "web"})
    shop("PUT", "cloudvm/modify", {"vm.id": vm, "vm.desc": "x"})
    shop("PUT", "cloudvm/modify", {"vm.id": vm, "vm.desc": ""})
    shown = fields(shop.client.call("GET", f"cloudvm/{vm}"))
    assert (shown["vm.name"], shown["vm.desc"]) == ("web", "")
    assert "vm.name" in shop.refused("PUT", "cloudvm/modify", {"vm.id": vm, "vm.name": ""})


def test_the_platform_makes_free_volumes_and_tells_their_key_once(shop: Shop) -> None:

    platform, world = shop.cloud.platform, shop.cloud.world
    with shop.cloud.services.database.platform(write=True) as session:
        storages.register(session, world.fleet.centre, shop.cloud.clock.now())
    want = {"vdisk.name": "pv", "vdisk.size": 5, "vdisk.storageid": storages.MAIN}
    (made,) = rows(platform("cloudvm/vdisk/create/pv", want))
    assert made["ceph.key"]
    assert (made["ceph.user"], made["ceph.poolname"]) == (made["vdisk.id"], "vms")
    (other,) = rows(platform("cloudvm/vdisk/create/pv", {**want, "vdisk.use.type": "vm"}))
    assert (other["ceph.key"], other["ceph.user"], other["ceph.poolname"]) == ("", "", "vms")
    assert platform.call("DELETE", f"cloudvm/vdisk/{other['vdisk.id']}").task_id
    shop.cloud.settle()
    assert list(world.fleet.records.volumes) == [made["vdisk.id"]]
    used = {one["storage.use.type"]: one["storage.usedsize"] for one in rows(shop.client("cloudstorage/search"))}
    assert used == {"main": "125", "seconds": "0"}
    assert platform.call("DELETE", f"cloudvm/vdisk/{made['vdisk.id']}").task_id
    shop.cloud.settle()
    assert world.fleet.records.volumes == {}
    assert "[conflict]" in platform("cloudvm/vdisk/create/pv", {**want, "vdisk.storageid": storages.SECONDARY}).text


def test_a_failure_says_why_in_the_task(shop: Shop) -> None:
    (vm,) = shop.open()
    shop.cloud.world.inject(Fault(Action.FAIL_OPERATION, vm, Deed.STOP))
    answer = shop.client("cloudvm/destroy", {"vm.id": vm})
    shop.cloud.settle()
    task = shop.ending(answer.task_id or "")
    assert (task["task.result"], task["task.objid"]) == ("1", vm)
    assert task["task.resultinfo"] == "its hypervisor refused it"
    (seen,) = rows(shop.cloud.platform("cloudtask/search", {"startid": answer.task_id}))
    assert seen["task.resultinfo"].startswith("its hypervisor refused it: host-sim-")
    assert "fail-operation" in seen["task.resultinfo"]
    assert fields(shop.client.call("GET", f"cloudvm/{vm}"))["vm.state"] == "1"


def test_a_queued_task_is_cancelled(shop: Shop) -> None:
    (vm,) = shop.open()
    answer = shop.client("cloudvm/destroy", {"vm.id": vm})
    assert "starting" not in shop.refused("PUT", "cloudvm/start", {"vm.id": vm})
    assert shop("PUT", "cloudtask/cancel", {"startid": answer.task_id or ""}).data == ""
    assert shop.ending(answer.task_id or "")["task.result"] == "7"
    shop("PUT", "cloudvm/destroy", {"vm.id": vm})


def test_the_pool_is_what_the_hosts_have(shop: Shop) -> None:
    pool = fields(shop.cloud.platform("resourcequota/search"))
    assert pool.keys() == {"cpu", "memory", "storage", "ip"}
    assert all(type(value) is int for value in pool.values())
    assert pool["cpu"] > 0
