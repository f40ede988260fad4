"""2.18 Security group rules on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section

SECTION = Section(
    "2.18",
    Text("安全组规则", "Security group rules"),
    (
        Operation("POST", "cloudsegroup/rule/search", "2.18.1", Text("查询安全组规则", "Search security group rules")),
        Operation("POST", "cloudsegroup/rule/add", "2.18.2", Text("添加安全组规则", "Add security group rule")),
        Operation(
            "DELETE", "cloudsegroup/rule/{ruleid}", "2.18.3", Text("删除安全组规则", "Delete security group rule")
        ),
        Operation(
            "POST",
            "cloudsegroup/rule/vm",
            "2.18.4",
            Text("查询云主机相关的安全组规则", "Search the security group rules of a VM"),
        ),
        Operation(
            "POST",
            "cloudsegroup/retryrule/search",
            "2.18.5",
            Text("查询安全组未生效规则", "Search security group rules not in effect"),
        ),
        Operation(
            "PUT", "cloudsegroup/retryrule/reset", "2.18.6", Text("重新补偿未生效规则", "Retry the rules not in effect")
        ),
    ),
)
