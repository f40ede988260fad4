"""An announcement in words for people, in one language."""

from __future__ import annotations

from datetime import tzinfo
from typing import Final, Literal

from core.alarms.announcement import Announcement
from core.alarms.finding import Severity
from core.alarms.machine import Change

Language = Literal["zh", "en"]

_SEVERITY: Final = {
    Severity.HIGH: {"zh": "高", "en": "high"},
    Severity.MEDIUM: {"zh": "中", "en": "medium"},
    Severity.LOW: {"zh": "低", "en": "low"},
}
_CHANGE: Final = {
    Change.RAISED: {"zh": "告警产生", "en": "raised"},
    Change.ROSE: {"zh": "告警升级", "en": "rose"},
    Change.FELL: {"zh": "告警降级", "en": "fell"},
    Change.RETURNED: {"zh": "已恢复，等待人工解除", "en": "over, waits for a person"},
    Change.RECURRED: {"zh": "再次发生", "en": "recurred"},
    Change.FLAPPING: {"zh": "告警抖动", "en": "flapping"},
    Change.STEADY: {"zh": "抖动结束", "en": "steady again"},
    Change.RELIEVED: {"zh": "告警解除", "en": "relieved"},
}
_LINES: Final = {
    "zh": ("对象", "类型", "级别", "产生时间", "解除时间", "租户", "主机", "编号"),
    "en": ("Object", "Type", "Severity", "Raised", "Relieved", "Tenant", "Host", "Alarm"),
}


def title(said: Announcement, language: Language) -> str:
    """One line: severity, what happened, to what."""
    severity, change = _SEVERITY[said.severity][language], _CHANGE[said.change][language]
    return f"[{severity}] {said.object_name or said.object_id}: {change}"


def body(said: Announcement, language: Language, zone: tzinfo) -> str:
    """The alarm's text and its facts, one a line, times in `zone`; what is not known is left out."""
    values = (
        f"{said.object_name} ({said.object_kind} {said.object_id})",
        said.category,
        _SEVERITY[said.severity][language],
        f"{said.created_at.astimezone(zone):%Y-%m-%d %H:%M:%S %z}",
        said.relieved_at and f"{said.relieved_at.astimezone(zone):%Y-%m-%d %H:%M:%S %z}",
        said.tenant_id,
        said.host_id,
        f"{said.alarm_id} #{said.number}",
    )
    facts = [f"{name}: {value}" for name, value in zip(_LINES[language], values, strict=True) if value]
    return "\n".join([said.content.get(language, ""), "", *facts]).strip()
