"""An announcement for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from core.alarms.announcement import Announcement
from core.alarms.finding import Severity
from core.alarms.machine import Change
from core.timeseries.fields import Kind

MOMENT = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)


def announcement(**changes: Any) -> Announcement:
    usual: dict[str, Any] = {
        "alarm_id": "alarm-1", "number": 1, "change": Change.RAISED, "at": MOMENT, "severity": Severity.HIGH,
        "severity_before": None, "rule_id": "vm-cpu", "category": "cpu", "labels": {"team": "compute"},
        "object_kind": Kind.VM, "object_id": "vm-1", "object_name": "web", "tenant_id": "tenant-1", "host_id": "host-1",
        "vm_id": "vm-1", "content": {"zh": "CPU 使用率 97%", "en": "CPU at 97 %"}, "created_at": MOMENT,
    }  # fmt: skip
    return Announcement(**{**usual, **changes})
