"""An announcement in words for people, in one language."""

from __future__ import annotations

from datetime import tzinfo
from typing import Final, Literal

from core.alarms.announcement import Announcement
from core.alarms.finding import Severity
from core.alarms.machine import Change

Language = Literal["zh", "en"]

_SEVERITY: Final = {
    "zh": {Severity.HIGH: "高", Severity.MEDIUM: "中", Severity.LOW: "低"},
    "en": {Severity.HIGH: "high", Severity.MEDIUM: "medium", Severity.LOW: "low"},
}
_CHANGE: Final = {
    "zh": {
        Change.RAISED: "告警产生", Change.ROSE: "告警升级", Change.FELL: "告警降级", Change.RETURNED: "已恢复，等待人工解除",
        Change.RECURRED: "再次发生", Change.FLAPPING: "告警抖动", Change.STEADY: "抖动结束", Change.RELIEVED: "告警解除",
    },
    "en": {
        Change.RAISED: "raised", Change.ROSE: "rose", Change.FELL: "fell", Change.RETURNED: "over, waits for a person",
        Change.RECURRED: "recurred", Change.FLAPPING: "flapping", Change.STEADY: "steady again", Change.RELIEVED: "relieved",
    },
}  # fmt: skip
_LINES: Final = {
    "zh": ("对象", "类型", "级别", "产生时间", "解除时间", "租户", "主机", "编号"),
    "en": ("Object", "Type", "Severity", "Raised", "Relieved", "Tenant", "Host", "Alarm"),
}


def title(said: Announcement, language: Language) -> str:
    """One line: severity, what happened, to what."""
    severity, change = _SEVERITY[language][said.severity], _CHANGE[language][said.change]
    return f"[{severity}] {said.object_name or said.object_id}: {change}"


def body(said: Announcement, language: Language, zone: tzinfo) -> str:
    """The alarm's text and its facts, one a line, times in `zone`; what is not known is left out."""
    values = (
        f"{said.object_name} ({said.object_kind} {said.object_id})",
        said.category,
        _SEVERITY[language][said.severity],
        f"{said.created_at.astimezone(zone):%Y-%m-%d %H:%M:%S %z}",
        said.relieved_at and f"{said.relieved_at.astimezone(zone):%Y-%m-%d %H:%M:%S %z}",
        said.tenant_id,
        said.host_id,
        f"{said.alarm_id} #{said.number}",
    )
    facts = [f"{name}: {value}" for name, value in zip(_LINES[language], values, strict=True) if value]
    return "\n".join([said.content.get(language, ""), "", *facts]).strip()
