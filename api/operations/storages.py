"""2.16 Storages on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section

SECTION = Section(
    "2.16",
    Text("存储", "Storages"),
    (Operation("POST", "cloudstorage/search", "2.16.1", Text("查询存储", "Search storage")),),
)
