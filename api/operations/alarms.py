"""2.15 Alarms on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import EXTENSION, Operation, Section

SECTION = Section(
    "2.15",
    Text("告警", "Alarms"),
    (
        Operation("POST", "cloudalarm/search", "2.15.1", Text("查询告警信息", "Search alarms")),
        Operation("PUT", "cloudalarm/relieve", EXTENSION, Text("人工解除告警", "Relieve alarm")),
        Operation("PUT", "cloudalarm/acknowledge", EXTENSION, Text("确认告警", "Acknowledge alarm")),
        Operation("PUT", "cloudalarm/shelve", EXTENSION, Text("搁置告警", "Shelve alarm")),
        Operation("POST", "cloudalarm/history", EXTENSION, Text("查询告警历史", "Alarm history")),
    ),
)
