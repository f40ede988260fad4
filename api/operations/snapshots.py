"""2.7 Snapshots on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section

SECTION = Section(
    "2.7",
    Text("虚拟机快照", "Snapshots"),
    (
        Operation("GET", "cloudvm/snapshot/{vmId}", "2.7.1", Text("获取云主机快照", "List VM snapshots")),
        Operation("POST", "cloudvm/snapshot/create", "2.7.2", Text("创建云主机快照", "Create VM snapshot")),
        Operation("PUT", "cloudvm/snapshot/restore", "2.7.3", Text("恢复云主机快照", "Restore VM snapshot")),
        Operation("DELETE", "cloudvm/snapshot/{snapshotId}", "2.7.4", Text("删除云主机快照", "Delete VM snapshot")),
        Operation("PUT", "cloudvm/snapshot/modify", "2.7.5", Text("修改虚拟机快照信息", "Modify VM snapshot")),
    ),
)
