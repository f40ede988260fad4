"""All operations of the document, called over HTTP on the whole product, in the order in which a platform would."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.wire.client import Answer, StarVCenter
from tests.support.conformance import CONTRACT, Conformance
from tests.support.pem import Pem, pem
from tests.support.product import Product, fields, host_ids, measured, rows
from tests.support.real import eventually

PAGE = {"page.startnum": 1, "page.everypagenum": 30}
ABSENT = {"cloudip/mapping/outerIp/search": {"ports"}}


@dataclass
class Cloud:
    """A tenant at work. `platform` and `tenant` are clients; `all` notes what is called."""

    product: Product
    tenant: StarVCenter
    tenant_id: str
    all: Conformance = field(default_factory=lambda: Conformance(ABSENT))

    @property
    def platform(self) -> StarVCenter:
        return self.product.platform

    def post(self, path: str, params: dict[str, Any] | None = None) -> Answer:
        return self.all.call(self.tenant, "POST", path, params or {})

    def put(self, path: str, params: dict[str, Any] | None = None) -> Answer:
        return self.all.call(self.tenant, "PUT", path, params or {})

    def get(self, path: str, **where: str) -> Answer:
        return self.all.call(self.tenant, "GET", path, **where)

    def delete(self, path: str, **where: str) -> Answer:
        return self.all.call(self.tenant, "DELETE", path, **where)

    def done(self, answer: Answer) -> Answer:
        """Waits until the task of the answer has succeeded."""
        assert answer.succeeded, answer.text
        jobs = [row["jobstartid"] for row in answer.data] if isinstance(answer.data, list) else [answer.task_id]
        for job in jobs:
            eventually(lambda job=job: self._task(job)["task.result"] not in {"2", "3"}, 30)
            assert self._task(job)["task.result"] == "0", self._task(job)
        return answer

    def unlocked(self, vm: str) -> None:
        """Waits for the end of what was started without a task that the caller is told of."""
        eventually(lambda: rows(self.tenant("cloudvm/search", {"vm.id": vm}))[0]["vm.lock"] == "0", 30)

    def _task(self, task_id: str) -> dict[str, Any]:
        (found,) = rows(self.tenant("cloudtask/search", {"startid": task_id}))
        return found


def test_all_operations_of_the_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Product(tmp_path, sim_task_seconds=0.02, task_workers=4) as product:
        every = Conformance(ABSENT)
        made = every.call(
            product.platform, "POST", "cloudTenant/create",
            {"app.name": "shop", "app.cpu.quota": 64, "app.memory.quota": 64_000, "app.storage.quota": 4000,
             "app.portgroup.quota": 5, "app.outerip.quota": 5},
        )  # fmt: skip
        with product.client(fields(made)["app.token"]) as tenant:
            cloud = Cloud(product, tenant, fields(made)["app.id"], every)
            _everything(cloud)
        assert product.errors() == []
    with capsys.disabled():
        every.show()
    assert every.missing() == []
    assert {name: faults for name, faults in every.faults.items() if faults} == {}
    assert len(every.faults) == len(CONTRACT) == 92


def _everything(cloud: Cloud) -> None:
    measured(cloud.product)
    _platform(cloud)
    subnet, spare = _networks(cloud)
    vms = _machines(cloud, subnet)
    _disks(cloud, vms)
    _copies(cloud, vms[0])
    _monitoring(cloud, vms)
    nics = _nics(cloud, vms, spare)
    router = _router(cloud, subnet, spare)
    _mappings(cloud, vms, router)
    _access_rules(cloud, vms[0], subnet)
    _security_groups(cloud, vms, nics)
    _balancer(cloud, vms, router)
    _ending(cloud, vms, subnet, spare)


def _platform(cloud: Cloud) -> None:
    every, platform = cloud.all, cloud.platform
    every.call(platform, "POST", "cloudhost/search", {})
    every.call(platform, "POST", "cloudstorage/search", {})
    kind = {"type": "tenant_system_model", "label": "Debian 13", "value": "debian-13"}
    made = every.call(platform, "POST", "cloudvm/addVhostModelAndType", kind)
    every.call(platform, "DELETE", "cloudvm/delVhostModelAndType/{id}", id=_only(made)["id"])
    limits = {"cpu": 64, "memory": 64_000, "storage": 5000, "ip": 8, "vpc": 5}
    every.call(platform, "PUT", "resourcequota/modify", {"tenantId": cloud.tenant_id, **limits})
    every.call(platform, "POST", "resourcequota/search", {})
    cloud.post("resourcequota/usableQuota", {"tenant.id": cloud.tenant_id})
    cloud.get("cloudvm/model")


def _networks(cloud: Cloud) -> tuple[str, str]:
    subnet = fields(cloud.post("cloudnetwork/vpc/create", {"vpc.name": "web"}))["vpc.id"]
    spare = fields(cloud.post("cloudnetwork/vpc/create", {"vpc.name": "spare"}))["vpc.id"]
    cloud.put("cloudnetwork/vpc/modify", {"vpc.id": spare, "vpc.desc": "for later"})
    cloud.post("cloudnetwork/vpc/search")
    return subnet, spare


def _machines(cloud: Cloud, subnet: str) -> list[str]:
    wish = {"vm.tenant.model": "debian-12", "vm.vcpu.num": 2, "vm.memory.mem": 2048, "vnic.portgroupid": subnet}
    opened = cloud.done(cloud.post("cloudvm/create", {**wish, "vm.name": "web", "vm.num": 3}))
    vms = [row["vm.id"] for row in rows(opened)]
    first = {"vm.id": vms[0]}
    cloud.post("cloudvm/search", PAGE)
    cloud.get("cloudvm/{vmId}", vmId=vms[0])
    cloud.put("cloudvm/modify", {**first, "vm.desc": "front"})
    cloud.get("cloudvm/connection/{vmId}", vmId=vms[0])
    cloud.done(cloud.post("cloudvm/setadminpwd", {**first, "pwd": "Correct-Horse-1"}))
    cloud.done(cloud.post("cloudvm/resumeCloudAgent", first))
    cloud.post("cloudvm/editvncpwd", {**first, "vm.vncpasswd": "secret1"})
    cloud.unlocked(vms[0])
    cloud.post("cloudvm/setvncpwd", first)
    cloud.unlocked(vms[0])
    cloud.post("cloudvm/switchfirewalld", {**first, "vm.firewalld.enable": "true"})
    cloud.done(cloud.put("cloudvm/restart", first))
    cloud.done(cloud.put("cloudvm/cpu/modify", {**first, "vm.vcpu.num": 4}))
    cloud.done(cloud.put("cloudvm/mem/modify", {**first, "vm.memory.mem": 4096}))
    cloud.done(cloud.put("cloudvm/shutdown", first))
    cloud.done(cloud.put("cloudvm/start", first))
    return vms


def _disks(cloud: Cloud, vms: list[str]) -> None:
    added = cloud.done(cloud.post("cloudvm/vdisk/add", {"vdisk.vmid": vms[0], "vdisk.size": 5}))
    disk = fields(added)["vdisk.id"]
    cloud.done(cloud.put("cloudvm/vdisk/extend", {"vdisk.id": disk, "vdisk.size": 8}))
    cloud.post("cloudvm/vdisk/search", {"vdisk.vmid": vms[0]})
    cloud.done(cloud.delete("cloudvm/vdisk/{vdiskId}", vdiskId=disk))
    storages = rows(cloud.platform("cloudstorage/search"))
    ceph = next(row["storage.id"] for row in storages if row["storage.type"] == "CEPH")
    volume = {"vdisk.name": "claim", "vdisk.size": 3, "vdisk.storageid": ceph}
    cloud.all.call(cloud.platform, "POST", "cloudvm/vdisk/create/pv", volume)


def _copies(cloud: Cloud, vm: str) -> None:
    made = cloud.done(cloud.post("cloudvm/backup/create", {"backup.vmid": vm, "backup.name": "monday"}))
    backup = {"backup.id": fields(made)["backup.id"]}
    cloud.put("cloudvm/backup/modify", {**backup, "backup.desc": "weekly"})
    cloud.get("cloudvm/backup/{vmId}", vmId=vm)
    made = cloud.done(cloud.post("cloudvm/snapshot/create", {"snapshot.vmid": vm, "snapshot.name": "before"}))
    snapshot = {"snapshot.id": fields(made)["snapshot.id"]}
    cloud.put("cloudvm/snapshot/modify", {**snapshot, "snapshot.desc": "the change"})
    cloud.get("cloudvm/snapshot/{vmId}", vmId=vm)
    cloud.done(cloud.put("cloudvm/destroy", {"vm.id": vm}))
    cloud.done(cloud.put("cloudvm/snapshot/restore", snapshot))
    cloud.delete("cloudvm/snapshot/{snapshotId}", snapshotId=snapshot["snapshot.id"])
    cloud.unlocked(vm)
    cloud.done(cloud.put("cloudvm/destroy", {"vm.id": vm}))
    cloud.done(cloud.put("cloudvm/backup/restore", backup))
    cloud.delete("cloudvm/backup/{backupId}", backupId=backup["backup.id"])
    cloud.unlocked(vm)
    cloud.done(cloud.put("cloudvm/start", {"vm.id": vm}))


def _monitoring(cloud: Cloud, vms: list[str]) -> None:
    of = {"monitor.obj.type": "vm", "monitor.obj": vms[1]}
    every_vm = {"monitor.obj.type": "vm", "monitor.objids": vms}
    eventually(lambda: fields(cloud.tenant("cloudmonitor/compute/current", of))["monitor.cpu.rate"] != "", 30)
    line = {**of, "lineType": "minute"}
    eventually(lambda: bool(rows(cloud.tenant("cloudmonitor/compute/history", line))), 90)
    for path in ("compute/current", "everydisk/current", "everynet/current"):
        cloud.post(f"cloudmonitor/{path}", of)
    for path in ("compute/history", "disk/history", "net/history"):
        cloud.post(f"cloudmonitor/{path}", line)
    cloud.post("cloudmonitor/compute/currents", every_vm)
    crashed = host_ids(cloud.product)[-1]
    cloud.product.inject("crash-host", crashed)
    eventually(lambda: bool(rows(cloud.platform("cloudalarm/search", {**PAGE, "alarm.objid": crashed}))), 30)
    cloud.product.inject("heal", crashed)
    cloud.all.call(cloud.platform, "POST", "cloudalarm/search", PAGE)


def _nics(cloud: Cloud, vms: list[str], spare: str) -> list[str]:
    """The first NIC of each VM."""
    cloud.post("cloudvm/vnic/add", {"vnic.vmid": vms[1], "vnic.portgroupid": spare})
    cloud.unlocked(vms[1])
    return [rows(cloud.post("cloudvm/vnic/search", {"vnic.vmid": vm}))[0]["vnic.id"] for vm in vms]


def _router(cloud: Cloud, subnet: str, spare: str) -> str:
    made = cloud.done(cloud.post("vroute/create", {"vroute.name": "edge"}))
    router = str(rows(made)[0]["vm.id"])
    for vpc in (subnet, spare):
        cloud.post("vroute/vpcAdd", {"portgroup.id": vpc})
    cloud.get("vroute/{vmId}", vmId=router)
    return router


def _mappings(cloud: Cloud, vms: list[str], router: str) -> None:
    free = rows(cloud.post("cloudip/mapping/outerIp/search", {"nat.type": "port"}))
    inner = {vm: fields(cloud.tenant.call("GET", f"cloudvm/{vm}"))["vm.ip"].split(",")[0] for vm in vms}
    cloud.post("cloudnetwork/sharenet/connect", {"vm.id": vms[0], "desc": "all of it"})
    shared = rows(cloud.post("cloudnetwork/sharenet/search", PAGE))
    outer = next(row["ipaddress"] for row in free if row["ipaddress"] != shared[0]["tenant.shareip"])
    port = {"innerIp": inner[vms[1]], "innerPort": 80, "ipaddress": outer, "outerPort": 8080, "protocal": "tcp"}
    cloud.post("cloudnetwork/portMapping/create", port)
    cloud.post("vroute/Mapping/search", {"natVrouteid": router})
    cloud.delete("cloudnetwork/ipmapping/{natId}", natId=shared[0]["nat.id"])


def _access_rules(cloud: Cloud, vm: str, subnet: str) -> None:
    ip = fields(cloud.tenant.call("GET", f"cloudvm/{vm}"))["vm.ip"].split(",")[0]
    rule = {"vm.ip": ip, "aclrule.type": "net_gate", "allow.direction": "in", "allow.protocol": "tcp"}
    made = cloud.post("cloudnetwork/acessrule/add", {**rule, "allow.internalport": "80:83,85"})
    cloud.post("cloudnetwork/netgate", {"portgroup.id": subnet, "type": "open"})
    cloud.post("cloudnetwork/acessrule/search", PAGE)
    cloud.delete("cloudnetwork/acessrule/{ruleId}", ruleId=fields(made)["rule.id"])


def _security_groups(cloud: Cloud, vms: list[str], nics: list[str]) -> None:
    made = fields(cloud.post("cloudsegroup/create", {"securitygroup.name": "front"}))["securitygroup.id"]
    group, nic = {"securitygroup.id": made}, {"securitygroup.id": made, "vnic.id": nics[0]}
    of = {"aclrule.securitygroupid": made}
    cloud.post("cloudsegroup/search")
    cloud.post("cloudsegroup/vnic/bind", nic)
    cloud.post("cloudsegroup/vnic/search", group)
    allow = {**of, "aclrule.direction": "in", "aclrule.protocal": "tcp", "aclrule.vmport": "80"}
    rule = fields(cloud.post("cloudsegroup/rule/add", allow))["aclrule.id"]
    cloud.post("cloudsegroup/rule/search", of)
    cloud.post("cloudsegroup/rule/vm", {"vm.id": vms[0]})
    cloud.product.inject("fail-operation", vms[0], "network")
    cloud.tenant("cloudsegroup/rule/add", {**allow, "aclrule.vmport": "443"})
    cloud.post("cloudsegroup/retryrule/search", {"vm.id": vms[0]})
    cloud.product.inject("heal", vms[0])
    cloud.put("cloudsegroup/retryrule/reset")
    eventually(lambda: not rows(cloud.tenant("cloudsegroup/retryrule/search", {"vm.id": vms[0]})), 20)
    cloud.delete("cloudsegroup/rule/{ruleid}", ruleid=rule)
    cloud.post("cloudsegroup/vnic/unbind", nic)
    cloud.delete("cloudsegroup/{securitygroupid}", securitygroupid=made)


def _balancer(cloud: Cloud, vms: list[str], router: str) -> None:
    outer = rows(cloud.tenant("cloudip/mapping/outerIp/search", {"nat.type": "ip"}))[0]["ipaddress"]
    made = _certificate()
    wish = {
        "slb.name": "front", "slb.appid": cloud.tenant_id, "slb.protocal.type": "HTTPS", "slb.network.type": "outter",
        "slb.directip": outer, "slb.directport": 443, "slb.realport": 80, "slb.vmid": router,
        "slb.https.cert.text": made.chain, "slb.https.cert.key": made.key,
    }  # fmt: skip
    slb = {"slb.id": fields(cloud.post("cloudslb/add", wish))["slb.id"]}
    cloud.put("cloudslb/modify", {**slb, "slb.desc": "shop"})
    made = _certificate()
    cloud.put("cloudslb/https/cert/conf", {**slb, "slb.https.cert.text": made.chain, "slb.https.cert.key": made.key})
    inner = fields(cloud.tenant.call("GET", f"cloudvm/{vms[2]}"))["vm.ip"]
    node = {"realnode.slbid": slb["slb.id"], "realnode.ip": inner, "realnode.port": 80, "realnode.vmid": vms[2]}
    real = {"realnode.id": fields(cloud.post("cloudslb/realnode/add", node))["realnode.id"]}
    cloud.put("cloudslb/realnode/modify", {**real, "realnode.weight": 3})
    cloud.post("cloudslb/realnode/search")
    cloud.post("cloudslb/search")
    cloud.post("cloudslb/stop", slb)
    cloud.post("cloudslb/start", slb)
    cloud.delete("cloudslb/realnode/{realnodeid}", realnodeid=real["realnode.id"])
    cloud.delete("cloudslb/{slbid}", slbid=slb["slb.id"])


def _ending(cloud: Cloud, vms: list[str], subnet: str, spare: str) -> None:
    for vm in vms:
        cloud.done(cloud.put("cloudvm/destroy", {"vm.id": vm}))
        cloud.done(cloud.delete("cloudvm/{vmId}", vmId=vm))
    for vpc in (subnet, spare):
        cloud.post("vroute/vpcDelete", {"portgroup.id": vpc})
        cloud.post("cloudnetwork/vpc/delete", {"vpc.id": vpc})


def _certificate() -> Pem:
    now = datetime.now(UTC)
    return pem(starts=now - timedelta(days=1), ends=now + timedelta(days=1))


def _only(answer: Answer) -> dict[str, Any]:
    (found,) = answer.data if isinstance(answer.data, list) else [fields(answer)]
    return dict(found)
