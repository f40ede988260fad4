"""2.6 Backups on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section
from api.wire.words import Words
from core.compute import backups

BACKUP = Words(
    {
        "id": "backup.id",
        "name": "backup.name",
        "description": "backup.desc",
        "vm_id": "backup.vmid",
        "created_at": "backup.createtime",
        "enabled": "backup.enable",
    },
    cleared=frozenset({"description"}),
)
IN_PATH = Words({"id": "backupId"})
IN_VM_PATH = Words({"id": "vmId"})

SECTION = Section(
    "2.6",
    Text("虚拟机备份", "Backups"),
    (
        Operation(
            "GET",
            "cloudvm/backup/{vmId}",
            "2.6.1",
            Text("获取云主机备份", "List VM backups"),
            backups.read,
            IN_VM_PATH,
            BACKUP,
        ),
        Operation(
            "POST",
            "cloudvm/backup/create",
            "2.6.2",
            Text("创建云主机备份", "Create VM backup"),
            backups.create,
            BACKUP,
            writes=True,
        ),
        Operation(
            "DELETE",
            "cloudvm/backup/{backupId}",
            "2.6.3",
            Text("删除云主机备份", "Delete VM backup"),
            backups.delete,
            IN_PATH,
            writes=True,
        ),
        Operation(
            "PUT",
            "cloudvm/backup/restore",
            "2.6.4",
            Text("恢复云主机备份", "Restore VM backup"),
            backups.restore,
            BACKUP,
            writes=True,
        ),
        Operation(
            "PUT",
            "cloudvm/backup/modify",
            "2.6.5",
            Text("修改云主机备份信息", "Modify VM backup"),
            backups.modify,
            BACKUP,
            writes=True,
        ),
    ),
)
