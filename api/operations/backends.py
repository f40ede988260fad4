"""2.13 Back-end nodes on the wire."""

from __future__ import annotations

from api.operations.balancers import ORDERS
from api.wire.languages import Text
from api.wire.operation import Operation, Section
from api.wire.words import Words
from core.network import backends
from core.network.balancers import Order

NODE = Words(
    {
        "id": "realnode.id",
        "name": "realnode.name",
        "description": "realnode.desc",
        "created_at": "realnode.createtime",
        "balancer_id": "realnode.slbid",
        "enabled": "realnode.enable",
        "address": "realnode.ip",
        "port": "realnode.port",
        "vm_id": "realnode.vmid",
        "weight": "realnode.weight",
        "healthy": "realnode.healthy",
        "order": "search.orderby",
    },
    values={Order: ORDERS},
)
IN_PATH = Words({"id": "realnodeid"})

SECTION = Section(
    "2.13",
    Text("云负载后端节点", "Back-end nodes"),
    (
        Operation(
            "POST",
            "cloudslb/realnode/search",
            "2.13.1",
            Text("查询SLB后端节点", "Search SLB backend nodes"),
            backends.search,
            NODE,
        ),
        Operation(
            "POST",
            "cloudslb/realnode/add",
            "2.13.2",
            Text("新增SLB后端节点", "Add SLB backend node"),
            backends.add,
            NODE,
            writes=True,
        ),
        Operation(
            "PUT",
            "cloudslb/realnode/modify",
            "2.13.3",
            Text("修改SLB后端节点", "Modify SLB backend node"),
            backends.modify,
            NODE,
            writes=True,
        ),
        Operation(
            "DELETE",
            "cloudslb/realnode/{realnodeid}",
            "2.13.4",
            Text("删除SLB后端节点", "Delete SLB backend node"),
            backends.delete,
            IN_PATH,
            writes=True,
        ),
    ),
)
