"""Prometheus Alertmanager, API v2: one POST for all letters, one for each when a letter among them is refused.

Alertmanager keeps alerts in memory and lets them end by themselves: it is reminded of the open ones (`remind`), each
of which stands for `STANDS_SECONDS` from then on. It tells alerts apart by their labels, and the severity is one of
them: an alarm whose severity changed is one alert that ends and another that begins.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from aggregator.notify import http
from aggregator.notify.port import Failed, Letter, Outcome, Refused
from core.alarms.announcement import Announcement
from core.alarms.finding import Severity

STANDS_SECONDS: Final = 3600.0
_NO_NAME = re.compile(r"[^a-zA-Z0-9_]")


class Alertmanager:
    """`url` is the server's, without the path of the API."""

    kind = "alertmanager"
    batch = 100

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/") + "/api/v2/alerts"
        self._client = http.client()

    def send(self, letters: Sequence[Letter]) -> Sequence[Outcome]:
        alerts = [alert for letter in letters for alert in alerts_of(letter.announcement)]
        outcome = self._post(alerts)
        match outcome:
            case Failed():
                return [outcome]
            case Refused() if len(letters) > 1:
                return [self.send([letter])[0] for letter in letters]
            case _:
                return [outcome] * len(letters)

    def remind(self, open_alarms: Sequence[Announcement]) -> Outcome:
        return self._post(
            [_alert(said, said.severity, said.at + timedelta(seconds=STANDS_SECONDS)) for said in open_alarms]
        )

    def close(self) -> None:
        self._client.close()

    def _post(self, alerts: Sequence[dict[str, Any]]) -> Outcome:
        return http.post(self._client, self._url, orjson.dumps(alerts), {})


def alerts_of(said: Announcement) -> list[dict[str, Any]]:
    """What Alertmanager must be told: the alert that stands now or has ended, and the one that it replaces."""
    before = said.severity_before
    ended = [] if before is None or before == said.severity else [_alert(said, before, said.at)]
    until = said.relieved_at or said.at + timedelta(seconds=STANDS_SECONDS)
    return [*ended, _alert(said, said.severity, until)]


def _alert(said: Announcement, severity: Severity, ends_at: datetime) -> dict[str, Any]:
    labels = {
        **{_NO_NAME.sub("_", f"_{name}" if name[:1].isdigit() else name): value for name, value in said.labels.items()},
        "alertname": said.rule_id, "severity": severity.name.lower(), "category": said.category,
        "object_kind": said.object_kind.value, "object_id": said.object_id, "object_name": said.object_name,
        "tenant": said.tenant_id or "", "host": said.host_id or "", "vm": said.vm_id or "",
    }  # fmt: skip
    return {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {
            "summary": said.content.get("en", ""), "summary_zh": said.content.get("zh", ""), "alarm_id": said.alarm_id,
        },
        "startsAt": said.created_at.isoformat(),
        "endsAt": max(ends_at, said.created_at + timedelta(milliseconds=1)).isoformat(),
    }  # fmt: skip
