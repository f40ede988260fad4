"""2.3 Networks on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section
from api.wire.words import Words
from core.network import vpcs

VPC = Words(
    {
        "id": "vpc.id",
        "name": "vpc.name",
        "description": "vpc.desc",
        "cidr": "vpc.cidr",
        "gateway": "vpc.gateway",
        "usable_addresses": "vpc.usable.ipcount",
        "created_at": "vpc.createtime",
    },
    cleared=frozenset({"description"}),
)

SECTION = Section(
    "2.3",
    Text("云网络", "Networks"),
    (
        Operation(
            "POST",
            "cloudnetwork/vpc/create",
            "2.3.1",
            Text("开通租户私有网络", "Create VPC"),
            vpcs.create,
            VPC,
            writes=True,
        ),
        Operation(
            "PUT",
            "cloudnetwork/vpc/modify",
            "2.3.2",
            Text("修改租户私有网络", "Modify VPC"),
            vpcs.modify,
            VPC,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudnetwork/vpc/delete",
            "2.3.3",
            Text("删除租户私有网络", "Delete VPC"),
            vpcs.delete,
            VPC,
            writes=True,
        ),
        Operation("POST", "cloudnetwork/vpc/search", "2.3.4", Text("查询租户私有网络", "List VPCs"), vpcs.search, VPC),
        Operation("POST", "cloudnetwork/sharenet/connect", "2.3.5", Text("云主机添加IP映射", "Map an IP to a VM")),
        Operation(
            "POST",
            "cloudnetwork/sharenet/search",
            "2.3.6",
            Text("查询租户间IP映射清单", "List inter-tenant IP mappings"),
        ),
        Operation("POST", "cloudnetwork/portMapping/create", "2.3.7", Text("添加端口映射", "Add port mapping")),
        Operation(
            "DELETE", "cloudnetwork/ipmapping/{natId}", "2.3.8", Text("删除IP/Port映射", "Delete IP or port mapping")
        ),
        Operation("POST", "cloudnetwork/acessrule/search", "2.3.9", Text("查询访问控制规则", "Search access rules")),
        Operation("POST", "cloudnetwork/acessrule/add", "2.3.10", Text("添加访问控制规则", "Add access rule")),
        Operation(
            "DELETE", "cloudnetwork/acessrule/{ruleId}", "2.3.11", Text("删除访问控制规则", "Delete access rule")
        ),
        Operation(
            "POST",
            "cloudnetwork/netgate",
            "2.3.12",
            Text("子网边界防火墙开启与关闭", "Open or close the subnet boundary firewall"),
        ),
    ),
)
