"""2.18 Security group rules on the wire: with points where they are asked for, with underscores where they are
listed."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section
from api.wire.words import Words
from core.network import group_rules, pending_rules

RULE = Words(
    {
        "id": "aclrule.id",
        "group_id": "aclrule.securitygroupid",
        "group_ids": "aclrule.securitygroupid",
        "direction": "aclrule.direction",
        "protocol": "aclrule.protocal",
        "ports": "aclrule.vmport",
        "sources": "aclrule.srcip",
        "targets": "aclrule.target",
    }
)
LISTED = Words(
    {
        "id": "aclrule_id",
        "group_id": "aclrule_securitygroupid",
        "group_name": "aclrule_securitygroupname",
        "direction": "aclrule_direction",
        "protocol": "aclrule_protocal",
        "ports": "aclrule_vmport",
        "sources": "aclrule_srcip",
        "targets": "aclrule_target",
        "in_effect": "aclrule_status",
    }
)
OF_VM = Words({"vm_id": "vm.id"})
IN_PATH = Words({"id": "ruleid"})
FIND_PENDING = Words({"vm_id": "vm.id", "group_id": "securitygroup.id"})
PENDING = Words({"id": "issue.id", "rule_id": "aclrule.id", "vm_id": "vm.id", "retries": "retry.num"})

SECTION = Section(
    "2.18",
    Text("安全组规则", "Security group rules"),
    (
        Operation(
            "POST",
            "cloudsegroup/rule/search",
            "2.18.1",
            Text("查询安全组规则", "Search security group rules"),
            group_rules.search,
            RULE,
            LISTED,
        ),
        Operation(
            "POST",
            "cloudsegroup/rule/add",
            "2.18.2",
            Text("添加安全组规则", "Add security group rule"),
            group_rules.add,
            RULE,
            writes=True,
        ),
        Operation(
            "DELETE",
            "cloudsegroup/rule/{ruleid}",
            "2.18.3",
            Text("删除安全组规则", "Delete security group rule"),
            group_rules.delete,
            IN_PATH,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudsegroup/rule/vm",
            "2.18.4",
            Text("查询云主机相关的安全组规则", "Search the security group rules of a VM"),
            group_rules.search_of_vm,
            OF_VM,
            LISTED,
        ),
        Operation(
            "POST",
            "cloudsegroup/retryrule/search",
            "2.18.5",
            Text("查询安全组未生效规则", "Search security group rules not in effect"),
            pending_rules.search,
            FIND_PENDING,
            PENDING,
        ),
        Operation(
            "PUT",
            "cloudsegroup/retryrule/reset",
            "2.18.6",
            Text("重新补偿未生效规则", "Retry the rules not in effect"),
            pending_rules.reset,
            writes=True,
        ),
    ),
)
