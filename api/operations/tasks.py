"""Extension: Tasks on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import EXTENSION, Operation, Section

SECTION = Section(
    EXTENSION,
    Text("任务", "Tasks"),
    (
        Operation("POST", "cloudtask/search", EXTENSION, Text("查询任务日志", "Search tasks")),
        Operation("PUT", "cloudtask/cancel", EXTENSION, Text("取消任务", "Cancel task")),
    ),
)
