"""Who may see what: every operation against another tenant's object, and platform operations with a tenant's
token.
"""

from __future__ import annotations

from datetime import datetime

import pytest

from api.operations.table import SECTIONS
from core.alarms.finding import Severity
from core.alarms.rows import Alarm
from core.compute.copy_rows import Backup, Snapshot
from core.compute.rows import Disk
from core.context import Role
from core.db.session import PlatformSession
from core.network import filters
from core.network.balancer_rows import BackEnd, Balancer, Balancing, Policy, Side
from core.network.filter_rows import AccessRule, Boundary, GroupMember, GroupRule, SecurityGroup
from core.network.outer_rows import NatMapping, NatType, OuterIp, OuterPool, PoolIp, Transport
from core.network.router_rows import Router, RouterState, RouterVpc
from core.network.rows import Vpc
from core.network.traffic import Direction
from core.tasks.rows import Task
from core.timeseries.fields import Kind
from tests.api.conftest import Cloud

OPERATIONS = [operation for section in SECTIONS for operation in section.operations]
PLATFORM = [operation for operation in OPERATIONS if operation.role is Role.PLATFORM]
FOR_TENANTS = [item for item in OPERATIONS if item.role is Role.TENANT]

VM = {"monitor.obj.type": "vm", "monitor.obj": "vm-3"}
BOBS = (
    "vm-3", "alarm-bob", "vpc-bob", "disk-bob", "backup-bob", "snapshot-bob", "task-bob", "vroute-bob", "slb-bob",
    "realnode-bob", "nat-bob", "rule-bob", "group-bob", "allow-bob",
)  # fmt: skip
LINE = {**VM, "lineType": "minute"}
FOREIGN: dict[str, tuple[str, dict[str, object] | None]] = {
    "POST cloudvm/create": (
        "cloudvm/create",
        {"vm.tenant.model": "debian-12", "vm.vcpu.num": 1, "vm.memory.mem": 512, "vnic.portgroupid": "vpc-bob"},
    ),
    "GET cloudvm/{vmId}": ("cloudvm/vm-3", None),
    **{
        f"PUT cloudvm/{deed}": (f"cloudvm/{deed}", {"vm.id": "vm-3"})
        for deed in ("start", "destroy", "shutdown", "restart", "modify")
    },
    "DELETE cloudvm/{vmId}": ("cloudvm/vm-3", None),
    "GET cloudvm/connection/{vmId}": ("cloudvm/connection/vm-3", None),
    "POST cloudvm/setadminpwd": ("cloudvm/setadminpwd", {"vm.id": "vm-3", "pwd": "secret"}),
    "POST cloudvm/resumeCloudAgent": ("cloudvm/resumeCloudAgent", {"vm.id": "vm-3"}),
    "POST cloudvm/editvncpwd": ("cloudvm/editvncpwd", {"vm.id": "vm-3", "vm.vncpasswd": "secret"}),
    "POST cloudvm/setvncpwd": ("cloudvm/setvncpwd", {"vm.id": "vm-3"}),
    "PUT cloudvm/cpu/modify": ("cloudvm/cpu/modify", {"vm.id": "vm-3", "vm.vcpu.num": 3}),
    "PUT cloudvm/mem/modify": ("cloudvm/mem/modify", {"vm.id": "vm-3", "vm.memory.mem": 8192}),
    "POST cloudvm/switchfirewalld": ("cloudvm/switchfirewalld", {"vm.id": "vm-3", "vm.firewalld.enable": "true"}),
    "PUT cloudnetwork/vpc/modify": ("cloudnetwork/vpc/modify", {"vpc.id": "vpc-bob", "vpc.name": "mine"}),
    "POST cloudnetwork/vpc/delete": ("cloudnetwork/vpc/delete", {"vpc.id": "vpc-bob"}),
    "POST cloudnetwork/sharenet/connect": ("cloudnetwork/sharenet/connect", {"vm.id": "vm-3"}),
    "POST cloudnetwork/portMapping/create": (
        "cloudnetwork/portMapping/create",
        {"innerIp": "192.168.0.3", "innerPort": 80, "ipaddress": "203.0.113.7", "outerPort": 80, "protocal": "tcp"},
    ),
    "DELETE cloudnetwork/ipmapping/{natId}": ("cloudnetwork/ipmapping/nat-bob", None),
    "POST vroute/vpcAdd": ("vroute/vpcAdd", {"portgroup.id": "vpc-bob"}),
    "POST vroute/vpcDelete": ("vroute/vpcDelete", {"portgroup.id": "vpc-bob"}),
    "GET vroute/{vmId}": ("vroute/vroute-bob", None),
    "DELETE vroute/{vmId}": ("vroute/vroute-bob", None),
    "POST vroute/Mapping/search": ("vroute/Mapping/search", {"natAppid": "bob"}),
    "POST cloudip/mapping/outerIp/search": ("cloudip/mapping/outerIp/search", {"tenant.id": "bob"}),
    "POST cloudvm/vdisk/add": ("cloudvm/vdisk/add", {"vdisk.vmid": "vm-3", "vdisk.size": 1}),
    "DELETE cloudvm/vdisk/{vdiskId}": ("cloudvm/vdisk/disk-bob", None),
    "PUT cloudvm/vdisk/extend": ("cloudvm/vdisk/extend", {"vdisk.id": "disk-bob", "vdisk.size": 99}),
    "POST cloudvm/vdisk/search": ("cloudvm/vdisk/search", {"vdisk.vmid": "vm-3"}),
    "POST cloudvm/vnic/search": ("cloudvm/vnic/search", {"vnic.vmid": "vm-3"}),
    "POST cloudvm/vnic/add": ("cloudvm/vnic/add", {"vnic.vmid": "vm-1", "vnic.portgroupid": "vpc-bob"}),
    "GET cloudvm/backup/{vmId}": ("cloudvm/backup/vm-3", None),
    "POST cloudvm/backup/create": ("cloudvm/backup/create", {"backup.vmid": "vm-3", "backup.name": "b"}),
    "DELETE cloudvm/backup/{backupId}": ("cloudvm/backup/backup-bob", None),
    "PUT cloudvm/backup/restore": ("cloudvm/backup/restore", {"backup.id": "backup-bob"}),
    "PUT cloudvm/backup/modify": ("cloudvm/backup/modify", {"backup.id": "backup-bob", "backup.desc": "mine"}),
    "GET cloudvm/snapshot/{vmId}": ("cloudvm/snapshot/vm-3", None),
    "POST cloudvm/snapshot/create": ("cloudvm/snapshot/create", {"snapshot.vmid": "vm-3", "snapshot.name": "s"}),
    "DELETE cloudvm/snapshot/{snapshotId}": ("cloudvm/snapshot/snapshot-bob", None),
    "PUT cloudvm/snapshot/restore": ("cloudvm/snapshot/restore", {"snapshot.id": "snapshot-bob"}),
    "PUT cloudvm/snapshot/modify": ("cloudvm/snapshot/modify", {"snapshot.id": "snapshot-bob", "snapshot.desc": ""}),
    "POST cloudslb/add": (
        "cloudslb/add",
        {
            "slb.name": "mine",
            "slb.appid": "bob",
            "slb.vmid": "vroute-bob",
            "slb.protocal.type": "TCP",
            "slb.network.type": "outter",
            "slb.directip": "203.0.113.2",
            "slb.directport": 80,
        },
    ),
    "PUT cloudslb/modify": ("cloudslb/modify", {"slb.id": "slb-bob", "slb.name": "mine"}),
    "DELETE cloudslb/{slbid}": ("cloudslb/slb-bob", None),
    "POST cloudslb/start": ("cloudslb/start", {"slb.id": "slb-bob"}),
    "POST cloudslb/stop": ("cloudslb/stop", {"slb.id": "slb-bob"}),
    "PUT cloudslb/https/cert/conf": (
        "cloudslb/https/cert/conf",
        {"slb.id": "slb-bob", "slb.https.cert.text": "c", "slb.https.cert.key": "k"},
    ),
    "POST cloudslb/realnode/add": (
        "cloudslb/realnode/add",
        {"realnode.slbid": "slb-bob", "realnode.ip": "192.168.0.1", "realnode.port": 80, "realnode.vmid": "vm-1"},
    ),
    "PUT cloudslb/realnode/modify": ("cloudslb/realnode/modify", {"realnode.id": "realnode-bob", "realnode.weight": 2}),
    "DELETE cloudslb/realnode/{realnodeid}": ("cloudslb/realnode/realnode-bob", None),
    "POST cloudnetwork/acessrule/add": (
        "cloudnetwork/acessrule/add",
        {"vm.ip": "192.168.0.3", "aclrule.type": "net_gate"},
    ),
    "DELETE cloudnetwork/acessrule/{ruleId}": ("cloudnetwork/acessrule/rule-bob", None),
    "POST cloudnetwork/netgate": ("cloudnetwork/netgate", {"portgroup.id": "vpc-bob", "type": "open"}),
    "POST cloudsegroup/create": (
        "cloudsegroup/create",
        {"securitygroup.name": "mine", "securitygroup.appid": "bob"},
    ),
    "DELETE cloudsegroup/{securitygroupid}": ("cloudsegroup/group-bob", None),
    **{
        f"POST cloudsegroup/vnic/{deed}": (
            f"cloudsegroup/vnic/{deed}",
            {"securitygroup.id": "group-bob", "vnic.id": "nic-1"},
        )
        for deed in ("bind", "unbind", "search")
    },
    "POST cloudsegroup/rule/search": ("cloudsegroup/rule/search", {"aclrule.securitygroupid": "group-bob"}),
    "POST cloudsegroup/rule/add": (
        "cloudsegroup/rule/add",
        {"aclrule.securitygroupid": "group-bob", "aclrule.direction": "in"},
    ),
    "DELETE cloudsegroup/rule/{ruleid}": ("cloudsegroup/rule/allow-bob", None),
    "POST cloudsegroup/rule/vm": ("cloudsegroup/rule/vm", {"vm.id": "vm-3"}),
    "POST resourcequota/usableQuota": ("resourcequota/usableQuota", {"tenant.id": "bob"}),
    "PUT cloudtask/cancel": ("cloudtask/cancel", {"startid": "task-bob"}),
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
    "POST cloudnetwork/vpc/search": ("cloudnetwork/vpc/search", {}),
    "POST cloudslb/search": ("cloudslb/search", {"slb.id": "slb-bob"}),
    "POST cloudslb/realnode/search": ("cloudslb/realnode/search", {"realnode.id": "realnode-bob"}),
    "POST cloudnetwork/sharenet/search": (
        "cloudnetwork/sharenet/search", {"tenant.shareip": "203.0.113.6", "page.startnum": 1, "page.everypagenum": 30},
    ),
    "POST vroute/Mapping/search": ("vroute/Mapping/search", {"natOuterip": "203.0.113.6"}),
    "POST vroute/search": ("vroute/search", {"vroute.id": "vroute-bob"}),
    "POST cloudip/mapping/outerIp/search": ("cloudip/mapping/outerIp/search", {"ipaddress.only": "203.0.113.5"}),
    "POST cloudnetwork/acessrule/search": (
        "cloudnetwork/acessrule/search",
        {"aclrule_target": "192.168.0.3", "page.startnum": 1, "page.everypagenum": 30},
    ),
    "POST cloudsegroup/search": ("cloudsegroup/search", {"securitygroup.id": "group-bob"}),
    "POST cloudsegroup/retryrule/search": ("cloudsegroup/retryrule/search", {"vm.id": "vm-3"}),
    "POST cloudtask/search": ("cloudtask/search", {"startid": "task-bob"}),
    "POST cloudalarm/search": ("cloudalarm/search", {"isfindPage": True, "alarm.objid": "vm-3"}),
    "POST cloudmonitor/compute/currents": (
        "cloudmonitor/compute/currents", {"monitor.obj.type": "vm", "monitor.objids": ["vm-3"]},
    ),
}  # fmt: skip
"""Searches that name what is bob's: alice finds nothing."""


NOBODYS = {
    "GET cloudvm/model", "POST cloudvm/template/search", "POST cloudstorage/search", "POST cloudnetwork/vpc/create",
    "POST vroute/create",
    "PUT cloudsegroup/retryrule/reset",
}  # fmt: skip
"""What they answer is the same for all, or names no object."""


def test_every_operation_is_in_the_matrix() -> None:
    assert {operation.name for operation in FOR_TENANTS} == FOREIGN.keys() | SEARCHES.keys() | NOBODYS


def _fill(cloud: Cloud) -> None:
    with cloud.services.database.platform(write=True) as session:
        session.add(
            Alarm(
                id="alarm-bob", rule_id="r", object_kind=Kind.VM, object_id="vm-3", object_name="web3",
                tenant_id=cloud.bob_id, category="cpu", severity=Severity.HIGH, max_severity=Severity.HIGH,
                content_zh="高", content_en="high", created_at=cloud.clock.now(),
            )
        )  # fmt: skip
        mine = {"tenant_id": cloud.bob_id, "created_at": cloud.clock.now()}
        copy = {**mine, "vm_id": "vm-3", "name": "copy", "enabled": True, "storage_gb": 40}
        session.add_all(
            (
                Vpc(id="vpc-bob", name="net", cidr="172.31.0.0/24", gateway="172.31.0.1", **mine),
                Disk(id="disk-bob", vm_id="vm-3", device="vdb", size_gb=10, **mine),
                Backup(id="backup-bob", host_id="host-1", **copy),
                Snapshot(id="snapshot-bob", with_memory=True, vcpus=2, memory_mb=4096, **copy),
                Task(id="task-bob", kind="vm.start", object_type="vm", object_id="vm-3", arguments={}, **mine),
                Router(id="vroute-bob", name="edge", state=RouterState.READY, **mine),
            )
        )
        session.flush()
        session.add(
            Balancer(
                id="slb-bob", router_id="vroute-bob", name="web", protocol=Balancing.TCP, transport=Transport.TCP,
                side=Side.OUTER, ip="203.0.113.2", port=80, exclusive=True, node_port=80, policy=Policy.ROUND_ROBIN,
                retries=3, check_seconds=5, timeout_seconds=5, idle_seconds=60, max_connections=1000, **mine,
            )
        )  # fmt: skip
        session.flush()
        _fill_outside(session, cloud.bob_id, cloud.clock.now())
        node = {"balancer_id": "slb-bob", "vm_id": "vm-3", "nic_id": "nic-3", "ip": "192.168.0.3", "port": 80}
        session.add(BackEnd(id="realnode-bob", name="node", **node, **mine))
        _fill_filters(session, mine)


def _fill_outside(session: PlatformSession, bob: str, now: datetime) -> None:
    """The address of bob's router is 203.0.113.5; 203.0.113.6 is mapped to his VM."""
    here = {"tenant_id": bob, "router_id": "vroute-bob"}
    ends = {"first": "203.0.113.5", "last": "203.0.113.6", "gateway": "203.0.113.1", "netmask": "255.255.255.0"}
    session.add(OuterPool(id="pool-1", created_at=now, **ends))
    session.add(RouterVpc(vpc_id="vpc-bob", attached_at=now, **here))
    session.flush()
    session.add_all(PoolIp(ip=f"203.0.113.{number}", number=number, pool_id="pool-1") for number in (5, 6))
    session.flush()
    session.add(OuterIp(ip="203.0.113.5", use=NatType.PORT, is_wan=True, taken_at=now, **here))
    session.add(OuterIp(ip="203.0.113.6", use=NatType.IP, taken_at=now, **here))
    session.flush()
    end = {"vpc_id": "vpc-bob", "vm_id": "vm-3", "nic_id": "nic-3", "inner_ip": "192.168.0.3"}
    session.add(NatMapping(id="nat-bob", type=NatType.IP, outer_ip="203.0.113.6", created_at=now, **end, **here))


def _fill_filters(session: PlatformSession, mine: dict[str, object]) -> None:
    """bob's access rule and security group, which are not in effect yet."""
    session.add(SecurityGroup(id="group-bob", name="web", **mine))
    session.flush()
    at = {"nic_id": "nic-3", "boundary": Boundary.NIC, "direction": Direction.IN, "targets": "192.168.0.3"}
    owner = {"tenant_id": mine["tenant_id"]}
    session.add_all(
        (
            AccessRule(id="rule-bob", **at, **mine),
            GroupRule(id="allow-bob", group_id="group-bob", direction=Direction.IN, **mine),
            GroupMember(group_id="group-bob", nic_id="nic-3", **owner),
        )
    )
    session.flush()
    filters.mark_members(session, "group-bob", ["nic-3"], ["allow-bob"])


def _asked(cloud: Cloud, path: str, params: dict[str, object] | None) -> tuple[str, dict[str, object] | None]:
    """The request with bob's true id."""
    return path, params and {key: cloud.bob_id if item == "bob" else item for key, item in params.items()}


def _absent(cloud: Cloud, text: str) -> str:
    """The same about what nobody has."""
    for name in (cloud.bob_id, *BOBS):
        text = text.replace(name, f"{name.partition('-')[0]}-404")
    return text


@pytest.mark.parametrize("name", FOREIGN)
def test_another_tenants_object_is_not_found(cloud: Cloud, name: str) -> None:
    _fill(cloud)
    path, params = _asked(cloud, *FOREIGN[name])
    method = name.split()[0]
    answer = cloud.alice.call(method, path, params)
    assert answer.result == "1"
    assert "[not_found]" in answer.text
    nobodys = {key: _absent(cloud, str(value)) for key, value in (params or {}).items()}
    absent = cloud.alice.call(method, _absent(cloud, path), nobodys).text
    assert absent == _absent(cloud, answer.text), "no probing"


@pytest.mark.parametrize("name", SEARCHES)
def test_searches_do_not_find_another_tenants_objects(cloud: Cloud, name: str) -> None:
    _fill(cloud)
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
