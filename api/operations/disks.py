"""2.4 Disks on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section
from core.context import Role

SECTION = Section(
    "2.4",
    Text("虚拟磁盘", "Disks"),
    (
        Operation("POST", "cloudvm/vdisk/add", "2.4.1", Text("添加云主机磁盘", "Add VM disk")),
        Operation("DELETE", "cloudvm/vdisk/{vdiskId}", "2.4.2", Text("删除云主机磁盘", "Delete VM disk")),
        Operation("PUT", "cloudvm/vdisk/extend", "2.4.3", Text("扩容云主机磁盘", "Extend VM disk")),
        Operation("POST", "cloudvm/vdisk/search", "2.4.4", Text("查询云主机磁盘", "List VM disks")),
        Operation(
            "POST",
            "cloudvm/vdisk/create/pv",
            "2.4.5",
            Text("创建空白磁盘（供 PVC 使用）", "Create blank disk for a PVC"),
            role=Role.PLATFORM,
        ),
    ),
)
