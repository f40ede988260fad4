"""2.12 Load balancers on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section

SECTION = Section(
    "2.12",
    Text("云负载均衡", "Load balancers"),
    (
        Operation("POST", "cloudslb/search", "2.12.1", Text("查询SLB实例", "Search SLB instances")),
        Operation("POST", "cloudslb/add", "2.12.2", Text("新增SLB实例", "Add SLB instance")),
        Operation("PUT", "cloudslb/modify", "2.12.3", Text("修改SLB实例", "Modify SLB instance")),
        Operation("DELETE", "cloudslb/{slbid}", "2.12.4", Text("删除SLB实例", "Delete SLB instance")),
        Operation("POST", "cloudslb/start", "2.12.5", Text("启用SLB实例", "Enable SLB instance")),
        Operation("POST", "cloudslb/stop", "2.12.6", Text("停用SLB实例", "Disable SLB instance")),
        Operation("PUT", "cloudslb/https/cert/conf", "2.12.7", Text("配置https证书", "Configure HTTPS certificate")),
    ),
)
