"""2.5 NICs on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section
from api.wire.words import Words
from core.compute import nics

NIC = Words(
    {
        "id": "vnic.id",
        "name": "vnic.name",
        "description": "vnic.desc",
        "created_at": "vnic.createtime",
        "vm_id": "vnic.vmid",
        "mac": "vnic.macaddress",
        "ip": "vnic.ipaddress",
        "vpc_id": "vnic.vpc.id",
        "vpc_name": "vnic.vpc.name",
    }
)
REQUEST = Words({"id": "vnic.id", "vm_id": "vnic.vmid", "vpc_id": "vnic.portgroupid"})

SECTION = Section(
    "2.5",
    Text("虚拟网卡", "NICs"),
    (
        Operation(
            "POST",
            "cloudvm/vnic/search",
            "2.5.1",
            Text("获取云主机网卡", "List VM NICs"),
            nics.search,
            NIC,
        ),
        Operation(
            "POST",
            "cloudvm/vnic/add",
            "2.5.2",
            Text("添加网卡", "Add NIC"),
            nics.add,
            REQUEST,
            writes=True,
        ),
    ),
)
