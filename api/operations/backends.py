"""2.13 Back-end nodes on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section

SECTION = Section(
    "2.13",
    Text("云负载后端节点", "Back-end nodes"),
    (
        Operation("POST", "cloudslb/realnode/search", "2.13.1", Text("查询SLB后端节点", "Search SLB backend nodes")),
        Operation("POST", "cloudslb/realnode/add", "2.13.2", Text("新增SLB后端节点", "Add SLB backend node")),
        Operation("PUT", "cloudslb/realnode/modify", "2.13.3", Text("修改SLB后端节点", "Modify SLB backend node")),
        Operation(
            "DELETE", "cloudslb/realnode/{realnodeid}", "2.13.4", Text("删除SLB后端节点", "Delete SLB backend node")
        ),
    ),
)
