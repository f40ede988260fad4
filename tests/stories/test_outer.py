"""From a first start to a VM that is reached from outside, with what the simulated data centre ships."""

from __future__ import annotations

from pathlib import Path

from tests.support.product import Product, fields, measured, rows
from tests.support.real import eventually


def test_a_demo_vm_is_reached_from_outside(tmp_path: Path) -> None:
    with Product(tmp_path, sim_task_seconds=0) as product:
        measured(product)
        (router,) = rows(product.demo("vroute/search"))
        assert router["vroute.manageip"] == "198.51.100.2"
        vpc = fields(product.demo("cloudnetwork/vpc/create", {"vpc.name": "front"}))["vpc.id"]
        assert product.demo("vroute/vpcAdd", {"portgroup.id": vpc}).succeeded
        wish = {"vm.tenant.model": "debian-12", "vm.vcpu.num": 1, "vm.memory.mem": 512, "vnic.portgroupid": vpc}
        (opened,) = rows(product.demo("cloudvm/create", wish))
        eventually(lambda: rows(product.demo("cloudtask/search", {"startid": opened["jobstartid"], "task.result": 0})))
        connected = product.demo("cloudnetwork/sharenet/connect", {"vm.id": opened["vm.id"]})
        assert fields(connected) == {"tenant.shareip": "198.51.100.3"}
        product.kill()
        product.start()
        (pool,) = rows(product.platform("cloudip/pool/search"))
        assert (pool["pool.size"], pool["pool.taken"]) == ("253", "2")
        assert len(rows(product.demo("vroute/search"))) == 1
        assert product.errors() == []
