"""2.7 Snapshots on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section
from api.wire.words import Words
from core.compute import snapshots

SNAPSHOT = Words(
    {
        "id": "snapshot.id",
        "name": "snapshot.name",
        "description": "snapshot.desc",
        "vm_id": "snapshot.vmid",
        "created_at": "snapshot.createtime",
        "enabled": "snapshot.enable",
    },
    cleared=frozenset({"description"}),
)
IN_PATH = Words({"id": "snapshotId"})
IN_VM_PATH = Words({"id": "vmId"})

SECTION = Section(
    "2.7",
    Text("虚拟机快照", "Snapshots"),
    (
        Operation(
            "GET",
            "cloudvm/snapshot/{vmId}",
            "2.7.1",
            Text("获取云主机快照", "List VM snapshots"),
            snapshots.read,
            IN_VM_PATH,
            SNAPSHOT,
        ),
        Operation(
            "POST",
            "cloudvm/snapshot/create",
            "2.7.2",
            Text("创建云主机快照", "Create VM snapshot"),
            snapshots.create,
            SNAPSHOT,
            writes=True,
        ),
        Operation(
            "PUT",
            "cloudvm/snapshot/restore",
            "2.7.3",
            Text("恢复云主机快照", "Restore VM snapshot"),
            snapshots.restore,
            SNAPSHOT,
            writes=True,
        ),
        Operation(
            "DELETE",
            "cloudvm/snapshot/{snapshotId}",
            "2.7.4",
            Text("删除云主机快照", "Delete VM snapshot"),
            snapshots.delete,
            IN_PATH,
            writes=True,
        ),
        Operation(
            "PUT",
            "cloudvm/snapshot/modify",
            "2.7.5",
            Text("修改虚拟机快照信息", "Modify VM snapshot"),
            snapshots.modify,
            SNAPSHOT,
            writes=True,
        ),
    ),
)
