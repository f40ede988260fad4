"""A VM's life in the whole product: opened over the wire, seen by the collector, and what a kill leaves of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.wire.client import StarVCenter
from tests.support.product import Product, fields, measured, rows
from tests.support.real import eventually

QUOTA = {"app.cpu.quota": 20, "app.memory.quota": 40_000, "app.storage.quota": 1000, "app.portgroup.quota": 2}


@dataclass(frozen=True)
class Tenant:
    """`wish`: how it asks for a VM."""

    id: str
    token: str
    wish: dict[str, object]


def a_tenant(product: Product) -> Tenant:
    made = fields(product.platform("cloudTenant/create", {"app.name": "shop", **QUOTA}))
    with product.client(made["app.token"]) as client:
        vpc = fields(client("cloudnetwork/vpc/create"))["vpc.id"]
    wish = {"vm.tenant.model": "debian-12", "vm.vcpu.num": 2, "vm.memory.mem": 2048, "vnic.portgroupid": vpc}
    return Tenant(made["app.id"], made["app.token"], wish)


def task(client: StarVCenter, task_id: str) -> dict[str, Any]:
    (found,) = rows(client("cloudtask/search", {"startid": task_id}))
    return found


def ended(client: StarVCenter, task_id: str) -> str:
    eventually(lambda: task(client, task_id)["task.result"] not in {"2", "3"}, 20)
    return str(task(client, task_id)["task.result"])


def current(client: StarVCenter, vm: str) -> dict[str, Any]:
    return fields(client("cloudmonitor/compute/current", {"monitor.obj.type": "vm", "monitor.obj": vm}))


def test_a_new_vm_is_measured_and_a_stopped_one_is_not(tmp_path: Path) -> None:
    with Product(tmp_path, sim_task_seconds=0.1) as product:
        measured(product)
        tenant = a_tenant(product)
        with product.client(tenant.token) as client:
            (opened,) = rows(client("cloudvm/create", tenant.wish))
            assert ended(client, opened["jobstartid"]) == "0"
            vm = opened["vm.id"]
            eventually(lambda: current(client, vm)["monitor.cpu.rate"] != "", 20)
            assert current(client, vm)["monitor.cpu.num"] == "2"
            assert ended(client, client("cloudvm/cpu/modify", {"vm.id": vm, "vm.vcpu.num": 4}).task_id or "") == "0"
            eventually(lambda: current(client, vm)["monitor.cpu.num"] == "4", 20)
            assert ended(client, client("cloudvm/destroy", {"vm.id": vm}).task_id or "") == "0"
            eventually(lambda: current(client, vm)["monitor.cpu.rate"] == "", 20)
        assert product.errors() == []


def test_a_kill_leaves_nothing_behind(tmp_path: Path) -> None:
    with Product(tmp_path, sim_task_seconds=6, task_workers=1, task_heartbeat=0.5) as product:
        measured(product)
        tenant = a_tenant(product)
        with product.client(tenant.token) as client:
            begun, queued = rows(client("cloudvm/create", {**tenant.wish, "vm.num": 2}))
            eventually(lambda: task(client, begun["jobstartid"])["task.progress"] > "0", 20)
        product.kill()
        product.start()
        with product.client(tenant.token) as client:
            assert ended(client, begun["jobstartid"]) == "6"
            assert ended(client, queued["jobstartid"]) == "4"
            left = fields(client("resourcequota/usableQuota", {"tenant.id": tenant.id}))
            assert (left["cpu"], left["memory"], left["storage"]) == (20, 40_000, 1000)
            assert {(vm["vm.state"], vm["vm.lock"]) for vm in rows(client("cloudvm/search"))} == {("-2", "0")}
            assert rows(client("cloudnetwork/vpc/search"))[0]["vpc.usable.ipcount"] == "253"
