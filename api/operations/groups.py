"""2.17 Security groups on the wire."""

from __future__ import annotations

from api.operations.nics import NIC
from api.wire.languages import Text
from api.wire.operation import Operation, Section
from api.wire.words import Words
from core.network import bindings, groups

GROUP = Words(
    {
        "id": "securitygroup.id",
        "name": "securitygroup.name",
        "description": "securitygroup.desc",
        "tenant_id": "securitygroup.appid",
        "tenant_name": "securitygroup.appname",
        "created_at": "securitygroup.createtime",
    }
)
IN_PATH = Words({"id": "securitygroupid"})
BINDING = Words({"group_id": "securitygroup.id", "nic_ids": "vnic.id"})
BOUND = Words({"group_id": "securitygroup.id", "ip": "vnic.ipaddress"})

SECTION = Section(
    "2.17",
    Text("安全组", "Security groups"),
    (
        Operation(
            "POST",
            "cloudsegroup/search",
            "2.17.1",
            Text("查询安全组", "Search security groups"),
            groups.search,
            GROUP,
        ),
        Operation(
            "POST",
            "cloudsegroup/create",
            "2.17.2",
            Text("创建安全组", "Create security group"),
            groups.create,
            GROUP,
            writes=True,
        ),
        Operation(
            "DELETE",
            "cloudsegroup/{securitygroupid}",
            "2.17.3",
            Text("删除安全组", "Delete security group"),
            groups.delete,
            IN_PATH,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudsegroup/vnic/bind",
            "2.17.4",
            Text("绑定云主机", "Bind VM NICs to security group"),
            bindings.bind,
            BINDING,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudsegroup/vnic/unbind",
            "2.17.5",
            Text("解绑云主机", "Unbind VM NICs from security group"),
            bindings.unbind,
            BINDING,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudsegroup/vnic/search",
            "2.17.6",
            Text("查询安全组绑定的网卡", "List NICs bound to security group"),
            bindings.search,
            BOUND,
            NIC,
        ),
    ),
)
