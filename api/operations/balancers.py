"""2.12 Load balancers on the wire. `protocal`, `outter` and `maxoccurs` are the document's spelling; it also spells
protocols in capitals where they are given, and in lower case where they are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from api.wire.languages import Text
from api.wire.operation import Operation, Section
from api.wire.words import Words
from core.network import balancer_changes, balancers
from core.network.backends import NewBackEnd
from core.network.balancer_rows import Balancing, Side
from core.network.balancers import Order

_FIELDS = {
    "id": "slb.id",
    "name": "slb.name",
    "description": "slb.desc",
    "created_at": "slb.createtime",
    "tenant_id": "slb.appid",
    "router_id": "slb.vmid",
    "protocol": "slb.protocal.type",
    "side": "slb.network.type",
    "ip": "slb.directip",
    "exclusive": "slb.directip.self",
    "port": "slb.directport",
    "node_port": "slb.realport",
    "enabled": "slb.enable",
    "path": "slb.http.urlpath",
    "certificate_usable": "slb.https.cert.enable",
    "policy": "slb.policy.type",
    "retries": "slb.health.retrytime",
    "check_seconds": "slb.health.check.interval",
    "timeout_seconds": "slb.health.check.timeout",
    "idle_seconds": "slb.health.emptylink.timeout",
    "check_path": "slb.health.check.path",
    "max_connections": "slb.maxoccurs",
    "certificate": "slb.https.cert.text",
    "certificate_key": "slb.https.cert.key",
    "nodes": "realnode",
    "order": "search.orderby",
}
_SIDES: Mapping[Enum, tuple[str, ...]] = {Side.OUTER: ("outter",), Side.INNER: ("inner",)}
ORDERS: Mapping[Enum, tuple[str, ...]] = {Order.CREATED_AT: ("createtime",), Order.NAME: ("name",)}

BALANCER = Words(_FIELDS, values={Side: _SIDES, Order: ORDERS}, cleared=frozenset({"name", "description"}))
ADD = Words(
    _FIELDS,
    values={Side: _SIDES, Balancing: {protocol: (protocol.upper(),) for protocol in Balancing}},
    nested={
        NewBackEnd: Words(
            {
                "name": "realnode.name",
                "description": "realnode.desc",
                "address": "realnode.ip",
                "port": "realnode.port",
                "vm_id": "realnode.vmid",
                "weight": "realnode.weight",
            }
        )
    },
)
IN_PATH = Words({"id": "slbid"})

SECTION = Section(
    "2.12",
    Text("云负载均衡", "Load balancers"),
    (
        Operation(
            "POST", "cloudslb/search", "2.12.1", Text("查询SLB实例", "Search SLB instances"), balancers.search, BALANCER
        ),
        Operation(
            "POST",
            "cloudslb/add",
            "2.12.2",
            Text("新增SLB实例", "Add SLB instance"),
            balancer_changes.add,
            ADD,
            writes=True,
        ),
        Operation(
            "PUT",
            "cloudslb/modify",
            "2.12.3",
            Text("修改SLB实例", "Modify SLB instance"),
            balancer_changes.modify,
            BALANCER,
            writes=True,
        ),
        Operation(
            "DELETE",
            "cloudslb/{slbid}",
            "2.12.4",
            Text("删除SLB实例", "Delete SLB instance"),
            balancer_changes.delete,
            IN_PATH,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudslb/start",
            "2.12.5",
            Text("启用SLB实例", "Enable SLB instance"),
            balancer_changes.start,
            BALANCER,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudslb/stop",
            "2.12.6",
            Text("停用SLB实例", "Disable SLB instance"),
            balancer_changes.stop,
            BALANCER,
            writes=True,
        ),
        Operation(
            "PUT",
            "cloudslb/https/cert/conf",
            "2.12.7",
            Text("配置https证书", "Configure HTTPS certificate"),
            balancer_changes.configure_certificate,
            BALANCER,
            writes=True,
        ),
    ),
)
