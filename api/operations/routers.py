"""2.9 Cloud routers on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section

SECTION = Section(
    "2.9",
    Text("云路由", "Cloud routers"),
    (
        Operation("POST", "vroute/create", "2.9.1", Text("创建云路由", "Create cloud router")),
        Operation("POST", "vroute/vpcAdd", "2.9.2", Text("云路由添加子网接入", "Attach subnet to cloud router")),
        Operation("POST", "vroute/vpcDelete", "2.9.3", Text("云路由删除子网接入", "Detach subnet from cloud router")),
        Operation("GET", "vroute/{vmId}", "2.9.4", Text("获取云路由详细", "Get cloud router detail")),
        Operation(
            "POST",
            "vroute/Mapping/search",
            "2.9.5",
            Text("查询云路由的映射管理", "Search NAT mappings of the cloud routers"),
        ),
    ),
)
