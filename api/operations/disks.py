"""2.4 Disks on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section
from api.wire.words import Words
from core.compute import disks, volumes
from core.context import Role

_MAIN = {
    "id": "vdisk.id",
    "name": "vdisk.name",
    "description": "vdisk.desc",
    "size_gb": "vdisk.size",
}
DISK = Words(
    {**_MAIN, "device": "vdisk.devname", "created_at": "vdisk.createtime", "vm_id": "vdisk.vmid"},
    omitted=frozenset({"vm_id"}),
)
VOLUME = Words(
    {
        **_MAIN,
        "storage_id": "vdisk.storageid",
        "use": "vdisk.use.type",
        "key": "ceph.key",
        "user": "ceph.user",
        "pool": "ceph.poolname",
        "monitors": "ceph.monitor",
    }
)
IN_PATH = Words({"id": "vdiskId"})

SECTION = Section(
    "2.4",
    Text("虚拟磁盘", "Disks"),
    (
        Operation(
            "POST",
            "cloudvm/vdisk/add",
            "2.4.1",
            Text("添加云主机磁盘", "Add VM disk"),
            disks.add,
            DISK,
            writes=True,
        ),
        Operation(
            "DELETE",
            "cloudvm/vdisk/{vdiskId}",
            "2.4.2",
            Text("删除云主机磁盘", "Delete VM disk"),
            disks.delete,
            IN_PATH,
            writes=True,
        ),
        Operation(
            "PUT",
            "cloudvm/vdisk/extend",
            "2.4.3",
            Text("扩容云主机磁盘", "Extend VM disk"),
            disks.extend,
            DISK,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudvm/vdisk/search",
            "2.4.4",
            Text("查询云主机磁盘", "List VM disks"),
            disks.search,
            DISK,
        ),
        Operation(
            "POST",
            "cloudvm/vdisk/create/pv",
            "2.4.5",
            Text("创建空白磁盘（供 PVC 使用）", "Create blank disk for a PVC"),
            volumes.create,
            VOLUME,
            role=Role.PLATFORM,
            writes=True,
        ),
    ),
)
