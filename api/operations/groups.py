"""2.17 Security groups on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section

SECTION = Section(
    "2.17",
    Text("安全组", "Security groups"),
    (
        Operation("POST", "cloudsegroup/search", "2.17.1", Text("查询安全组", "Search security groups")),
        Operation("POST", "cloudsegroup/create", "2.17.2", Text("创建安全组", "Create security group")),
        Operation("DELETE", "cloudsegroup/{securitygroupid}", "2.17.3", Text("删除安全组", "Delete security group")),
        Operation("POST", "cloudsegroup/vnic/bind", "2.17.4", Text("绑定云主机", "Bind VM NICs to security group")),
        Operation(
            "POST", "cloudsegroup/vnic/unbind", "2.17.5", Text("解绑云主机", "Unbind VM NICs from security group")
        ),
        Operation(
            "POST",
            "cloudsegroup/vnic/search",
            "2.17.6",
            Text("查询安全组绑定的网卡", "List NICs bound to security group"),
        ),
    ),
)
