"""2.3 Networks on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from api.wire.envelope import Nothing
from api.wire.languages import Text
from api.wire.operation import Operation, Section
from api.wire.words import Words
from core.network import access_rules, mapping_search, mappings, vpcs
from core.network.access_rules import Gate
from core.network.filter_rows import Boundary

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

CONNECT = Words(
    {"vm_id": "vm.id", "outer_ip": "vm.outer.ipaddress", "sources": "vm.allow.srcip", "description": "desc"}
)
CONNECTED = Words({"outer_ip": "tenant.shareip"})
IP_MAPPING = Words({"id": "nat.id", "vm_id": "vm.id", "vm_name": "vm.name", "outer_ip": "tenant.shareip"})
MAP_PORT = Words(
    {
        "inner_ip": "innerIp",
        "inner_port": "innerPort",
        "outer_ip": "ipaddress",
        "outer_port": "outerPort",
        "protocol": "protocal",
        "sources": "sourceIp",
        "description": "desc",
    }
)
MAPPING_IN_PATH = Words({"id": "natId"})
_BOUNDARIES: Final[Mapping[type[Enum], Mapping[Enum, tuple[str, ...]]]] = {
    Boundary: {Boundary.NETWORK: ("net_gate",), Boundary.NIC: ("net_inner",)}
}
ACCESS_RULE = Words(
    {
        "ip": "vm.ip",
        "boundary": "aclrule.type",
        "description": "aclrule.desc",
        "direction": "allow.direction",
        "targets": "allow.dstips",
        "ports": "allow.internalport",
        "sources": "allow.sourceips",
        "protocol": "allow.protocol",
    },
    values=_BOUNDARIES,
)
ADDED_RULE = Words({"id": "rule.id"})
LISTED_RULE = Words(
    {
        "id": "aclrule_id",
        "boundary": "aclrule_type",
        "router_id": "aclrule_vrouteid",
        "vpc_id": "aclrule_vnetid",
        "target": "aclrule_target",
        "vm_name": "vmname",
        "source": "aclrule_srcip",
        "ports": "aclrule_vmport",
        "protocol": "aclrule_protocal",
        "router_name": "aclrule_vroutename",
        "tenant_name": "aclrule_appname",
        "tenant_id": "aclrule_appid",
    },
    values=_BOUNDARIES,
    omitted=frozenset({"router_name"}),
)
RULE_IN_PATH = Words({"id": "ruleId"})
GATE = Words({"vpc_id": "portgroup.id", "gate": "type"}, values={Gate: {Gate.OPEN: ("open",), Gate.CLOSED: ("close",)}})

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
        Operation(
            "POST",
            "cloudnetwork/sharenet/connect",
            "2.3.5",
            Text("云主机添加IP映射", "Map an IP to a VM"),
            mappings.connect,
            CONNECT,
            CONNECTED,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudnetwork/sharenet/search",
            "2.3.6",
            Text("查询租户间IP映射清单", "List inter-tenant IP mappings"),
            mapping_search.of_ips,
            IP_MAPPING,
            starred=("start", "limit"),
        ),
        Operation(
            "POST",
            "cloudnetwork/portMapping/create",
            "2.3.7",
            Text("添加端口映射", "Add port mapping"),
            mappings.map_port,
            MAP_PORT,
            writes=True,
        ),
        Operation(
            "DELETE",
            "cloudnetwork/ipmapping/{natId}",
            "2.3.8",
            Text("删除IP/Port映射", "Delete IP or port mapping"),
            mappings.delete,
            MAPPING_IN_PATH,
            writes=True,
            nothing=Nothing.OBJECT,
        ),
        Operation(
            "POST",
            "cloudnetwork/acessrule/search",
            "2.3.9",
            Text("查询访问控制规则", "Search access rules"),
            access_rules.search,
            LISTED_RULE,
            starred=("start", "limit"),
        ),
        Operation(
            "POST",
            "cloudnetwork/acessrule/add",
            "2.3.10",
            Text("添加访问控制规则", "Add access rule"),
            access_rules.add,
            ACCESS_RULE,
            ADDED_RULE,
            writes=True,
        ),
        Operation(
            "DELETE",
            "cloudnetwork/acessrule/{ruleId}",
            "2.3.11",
            Text("删除访问控制规则", "Delete access rule"),
            access_rules.delete,
            RULE_IN_PATH,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudnetwork/netgate",
            "2.3.12",
            Text("子网边界防火墙开启与关闭", "Open or close the subnet boundary firewall"),
            access_rules.set_gate,
            GATE,
            writes=True,
        ),
    ),
)
