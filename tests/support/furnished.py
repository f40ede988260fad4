"""A cloud with some of everything, for two tenants: what most requests are about."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from api.simulation import storages
from api.wire.client import StarVCenter
from core.alarms.finding import Severity
from core.alarms.rows import Alarm, AlarmState
from core.timeseries.fields import Kind
from tests.api.conftest import Cloud
from tests.support.pem import pem

_QUOTAS = {"cpu": 200, "memory": 900_000, "storage": 9000, "ip": 20, "vpc": 20}
_UNUSED: dict[str, dict[str, object]] = {
    "cloudip/pool/create": {"pool.addresses": "198.51.100.0/29", "pool.gateway": "198.51.100.1"},
    "cloudTenant/create": {"app.name": "bare"},
    "cloudhost/register": {
        "host.name": "spare", "host.ip": "10.0.2.1", "host.exporter.url": "http://10.0.2.1:9100/metrics",
    },
    "cloudalarm/maintenance/create": {
        "window.name": "w", "window.weekdays": [1], "window.start": "02:00", "window.minutes": 60,
    },
}  # fmt: skip
"""What the platform may delete."""
_ALARMS = 3
"""Of each tenant."""


def furnish(cloud: Cloud) -> None:
    """Raises AssertionError when something of it is refused."""
    pool = {"pool.addresses": "203.0.113.0/27", "pool.gateway": "203.0.113.1"}
    _asked(cloud.platform, "cloudip/pool/create", pool)
    for client, tenant in ((cloud.alice, cloud.alice_id), (cloud.bob, cloud.bob_id)):
        _asked(cloud.platform, "resourcequota/modify", {"tenantId": tenant, **_QUOTAS})
        _furnish(cloud, client, tenant)
    for path, params in _UNUSED.items():
        _asked(cloud.platform, path, params)
    with cloud.services.database.platform(write=True) as session:
        storages.register(session, cloud.world.fleet.centre, cloud.clock.now())
        for vm_id, tenant in (("vm-1", cloud.alice_id), ("vm-3", cloud.bob_id)):
            for number in range(_ALARMS):
                _raise(session, f"{vm_id}-{number}", vm_id, tenant, cloud.clock.now())


def _asked(client: StarVCenter, path: str, params: dict[str, object]) -> Any:
    answer = client(path, params)
    assert answer.succeeded, answer.text
    return answer.data


def _furnish(cloud: Cloud, client: StarVCenter, tenant: str) -> None:
    """Networks, VMs and what hangs on them."""

    def made(path: str, params: dict[str, object]) -> Any:
        data = _asked(client, path, params)
        cloud.settle()
        return data

    vpc = made("cloudnetwork/vpc/create", {"vpc.name": "net"})["vpc.id"]
    made("cloudnetwork/vpc/create", {"vpc.name": "spare"})
    router = made("vroute/create", {"vroute.name": "edge"})[0]["vm.id"]
    made("vroute/create", {"vroute.name": "spare"})
    for network in (vpc, made("cloudnetwork/vpc/create", {"vpc.name": "attached"})["vpc.id"]):
        made("vroute/vpcAdd", {"portgroup.id": network, "vroute.id": router})
    wish = {"vm.tenant.model": "debian-12", "vm.vcpu.num": 1, "vm.memory.mem": 512, "vnic.portgroupid": vpc}
    first, second, stopped, template = (row["vm.id"] for row in made("cloudvm/create", {**wish, "vm.num": 4}))
    for vm_id in (first, stopped):
        made("cloudvm/vdisk/add", {"vdisk.vmid": vm_id, "vdisk.size": 5})
    made("cloudvm/backup/create", {"backup.vmid": first, "backup.name": "b"})
    made("cloudvm/snapshot/create", {"snapshot.vmid": first, "snapshot.name": "s"})
    made("cloudsegroup/create", {"securitygroup.name": "spare"})
    group = made("cloudsegroup/create", {"securitygroup.name": "g"})["securitygroup.id"]
    made("cloudsegroup/rule/add", {"aclrule.securitygroupid": group, "aclrule.direction": "in"})
    nic = made("cloudvm/vnic/search", {"vnic.vmid": first})[0]
    made("cloudsegroup/vnic/bind", {"securitygroup.id": group, "vnic.id": nic["vnic.id"]})
    ip = client.call("GET", f"cloudvm/{second}").data["vm.ip"]  # type: ignore[index,call-overload]
    made("cloudnetwork/acessrule/add", {"vm.ip": ip, "aclrule.type": "net_gate", "allow.direction": "in"})
    made("cloudnetwork/sharenet/connect", {"vm.id": first})
    for vm_id in (stopped, template):
        made("cloudvm/destroy", {"vm.id": vm_id})
    _asked(cloud.platform, "cloudvm/template/create", {"vm.id": template})
    free = [row["ipaddress"] for row in made("cloudip/mapping/outerIp/search", {"nat.type": "ip"})[:2]]
    for address, port, more in ((free[0], 80, {"slb.protocal.type": "TCP"}), (free[1], 443, _https())):
        made("cloudslb/add", {
            "slb.name": "s", "slb.appid": tenant, "slb.network.type": "outter", "slb.directip": address,
            "slb.directport": port, "slb.realport": 80, "slb.vmid": router,
            "realnode": [{"realnode.ip": ip, "realnode.port": 80, "realnode.vmid": second}], **more,
        })  # fmt: skip


def _https() -> dict[str, object]:
    own = pem()
    return {"slb.protocal.type": "HTTPS", "slb.https.cert.text": own.chain, "slb.https.cert.key": own.key}


def _raise(session: Session, key: str, vm_id: str, tenant: str, now: datetime) -> None:
    """An alarm that its rule still holds open."""
    session.add(
        Alarm(
            id=f"alarm-{key}", rule_id=key, object_kind=Kind.VM, object_id=vm_id, object_name="web1", tenant_id=tenant,
            category="cpu", severity=Severity.HIGH, max_severity=Severity.HIGH, content_zh="高", content_en="high",
            created_at=now,
        )
    )  # fmt: skip
    session.flush()
    rungs = [[int(Severity.HIGH), True, None]]
    session.add(AlarmState(rule_id=key, object_id=vm_id, tenant_id=tenant, alarm_id=f"alarm-{key}", rungs=rungs))
