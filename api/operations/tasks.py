"""Extension: Tasks on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import EXTENSION, Operation, Section
from api.wire.words import Words
from core.tasks import tasks

_MAIN = {"id": "startid", "state": "task.result", "object_id": "task.objid"}
REQUEST = Words({**_MAIN, "created_from": "task.starttime", "created_until": "task.endtime"})
ANSWER = Words(
    {
        **_MAIN,
        "name": "task.name",
        "object_type": "task.objtype",
        "reason": "task.resultinfo",
        "progress": "task.progress",
        "created_at": "task.createtime",
        "started_at": "task.starttime",
        "ended_at": "task.endtime",
    }
)

SECTION = Section(
    EXTENSION,
    Text("任务", "Tasks"),
    (
        Operation(
            "POST", "cloudtask/search", EXTENSION, Text("查询任务日志", "Search tasks"), tasks.search, REQUEST, ANSWER
        ),
        Operation(
            "PUT",
            "cloudtask/cancel",
            EXTENSION,
            Text("取消任务", "Cancel task"),
            tasks.cancel,
            REQUEST,
            writes=True,
        ),
    ),
)
