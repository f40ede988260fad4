"""2.5 NICs on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section

SECTION = Section(
    "2.5",
    Text("虚拟网卡", "NICs"),
    (
        Operation("POST", "cloudvm/vnic/search", "2.5.1", Text("获取云主机网卡", "List VM NICs")),
        Operation("POST", "cloudvm/vnic/add", "2.5.2", Text("添加网卡", "Add NIC")),
    ),
)
