"""2.9 Cloud routers on the wire."""

from __future__ import annotations

from api.wire.envelope import Nothing
from api.wire.languages import Text
from api.wire.operation import EXTENSION, Operation, Section
from api.wire.words import Words
from core.network import attaching, mapping_search, routers

CREATE = Words({"name": "vroute.name", "highly_available": "vroute.ha.enable", "wan_ip": "vroute.manageip"})
CREATED = Words({"id": "vm.id", "name": "vm.name", "wan_ip": "vm.manageip", "task_id": "jobstartid"})
NETWORK = Words({"vpc_id": "portgroup.id", "router_id": "vroute.id"})
IN_PATH = Words({"id": "vmId"})
ROUTER = Words(
    {
        "id": "vroute.id",
        "name": "vroute.name",
        "description": "vroute.desc",
        "created_at": "vroute.createtime",
        "registered_ip": "vroute.register.address",
        "online": "vroute.online",
        "wan_ip": "vroute.manageip",
        "machine_ids": "vroute.vmids",
        "vpc_ids": "vroute.vpcids",
    }
)
FIND_MAPPINGS = Words(
    {
        "outer_ip": "natOuterip",
        "type": "natType",
        "outer_port": "natOuterport",
        "inner_port": "natInnerport",
        "inner_ip": "natInnerip",
        "router_id": "natVrouteid",
        "tenant_id": "natAppid",
    }
)
MAPPING = Words(
    {
        "id": "nat_id",
        "type": "nat_type",
        "router_id": "nat_vrouteid",
        "outer_ip": "nat_outerip",
        "outer_port": "nat_outerport",
        "inner_ip": "nat_innerip",
        "inner_port": "nat_innerport",
        "protocol": "nat_protocal",
        "vm_id": "net_vmid",
        "vm_name": "net_vmname",
        "vpc_id": "nat_vnetid",
        "sources": "nat_srcip",
        "description": "nat_desc",
        "created_at": "nat_usedtime",
    }
)

SECTION = Section(
    "2.9",
    Text("云路由", "Cloud routers"),
    (
        Operation(
            "POST",
            "vroute/create",
            "2.9.1",
            Text("创建云路由", "Create cloud router"),
            routers.create,
            CREATE,
            CREATED,
            writes=True,
        ),
        Operation(
            "POST",
            "vroute/vpcAdd",
            "2.9.2",
            Text("云路由添加子网接入", "Attach subnet to cloud router"),
            attaching.attach,
            NETWORK,
            writes=True,
            nothing=Nothing.ABSENT,
        ),
        Operation(
            "POST",
            "vroute/vpcDelete",
            "2.9.3",
            Text("云路由删除子网接入", "Detach subnet from cloud router"),
            attaching.detach,
            NETWORK,
            writes=True,
            nothing=Nothing.ABSENT,
        ),
        Operation(
            "GET",
            "vroute/{vmId}",
            "2.9.4",
            Text("获取云路由详细", "Get cloud router detail"),
            routers.read,
            IN_PATH,
            ROUTER,
        ),
        Operation(
            "POST",
            "vroute/Mapping/search",
            "2.9.5",
            Text("查询云路由的映射管理", "Search NAT mappings of the cloud routers"),
            mapping_search.search,
            FIND_MAPPINGS,
            MAPPING,
        ),
        Operation(
            "POST", "vroute/search", EXTENSION, Text("查询云路由", "Search cloud routers"), routers.search, ROUTER
        ),
        Operation(
            "DELETE",
            "vroute/{vmId}",
            EXTENSION,
            Text("删除云路由", "Delete cloud router"),
            routers.delete,
            IN_PATH,
            writes=True,
        ),
    ),
)
