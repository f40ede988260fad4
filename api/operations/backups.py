"""2.6 Backups on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section

SECTION = Section(
    "2.6",
    Text("虚拟机备份", "Backups"),
    (
        Operation("GET", "cloudvm/backup/{vmId}", "2.6.1", Text("获取云主机备份", "List VM backups")),
        Operation("POST", "cloudvm/backup/create", "2.6.2", Text("创建云主机备份", "Create VM backup")),
        Operation("DELETE", "cloudvm/backup/{backupId}", "2.6.3", Text("删除云主机备份", "Delete VM backup")),
        Operation("PUT", "cloudvm/backup/restore", "2.6.4", Text("恢复云主机备份", "Restore VM backup")),
        Operation("PUT", "cloudvm/backup/modify", "2.6.5", Text("修改云主机备份信息", "Modify VM backup")),
    ),
)
