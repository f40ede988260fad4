"""2.16 Storages on the wire. `seconds` is the document's spelling."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section
from api.wire.words import Words
from core.hosts import storages
from core.hosts.storage_rows import StorageUse

STORAGE = Words(
    {
        "id": "storage.id",
        "name": "storage.name",
        "description": "storage.desc",
        "created_at": "storage.createtime",
        "type": "storage.type",
        "thin": "storage.thin",
        "size_gb": "storage.size",
        "location": "storage.location",
        "use": "storage.use.type",
        "used_gb": "storage.usedsize",
        "form": "storage.file.type",
        "access": "storage.io.auth",
        "ceph_monitors": "storage.ceph.monitorip",
    },
    values={StorageUse: {StorageUse.SECONDARY: ("seconds",)}},
)

SECTION = Section(
    "2.16",
    Text("存储", "Storages"),
    (Operation("POST", "cloudstorage/search", "2.16.1", Text("查询存储", "Search storage"), storages.search, STORAGE),),
)
