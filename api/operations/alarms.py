"""2.15 Alarms on the wire, and the extensions by which people act on them."""

from __future__ import annotations

from api.wire.languages import Language, Text
from api.wire.operation import EXTENSION, Operation, Section
from api.wire.words import Words
from core.alarms import alarms, maintenance, schedule
from core.alarms.finding import Severity
from core.context import Role
from core.timeseries.fields import Kind

ALARM = Words(
    {
        "id": "alarm.id",
        "category": "alarm.type",
        "severity": "alarm.level",
        "object_kind": "alarm.obj.type",
        "object_id": "alarm.objid",
        "object_name": "alarm.objname",
        "content_zh": "alarm.content",
        "content_en": "alarm.content",
        "created_at": "alarm.create.time",
        "relieved_at": "alarm.relieve.time",
        "relieved": "alarm.relieve.way",
        "acknowledged": "alarm.acknowledged",
        "flapping": "alarm.flapping",
        "latched": "alarm.latched",
        "shelved_until": "alarm.shelve.endtime",
        "suppressed_by": "alarm.suppressedby",
        "note": "alarm.desc",
        "starts_at": "alarm.starttime",
        "ends_at": "alarm.endtime",
        "unpaged": "isfindPage",
        "until": "alarm.shelve.endtime",
    },
    values={
        Severity: {Severity.HIGH: ("high",), Severity.MEDIUM: ("medium",), Severity.LOW: ("low",)},
        Kind: {
            Kind.HOST: ("host", "主机"),
            Kind.VM: ("vm", "云主机", "虚拟机"),
            Kind.PLATFORM: ("platform", "平台"),
        },
    },
    languages={"content_zh": Language.ZH, "content_en": Language.EN},
)
EVENT = Words(
    {
        "id": "alarm.id",
        "alarm_id": "alarm.id",
        "at": "event.time",
        "change": "event.type",
        "before": "event.from",
        "after": "event.to",
        "severity_before": "event.level.from",
        "severity_after": "event.level.to",
        "reason": "event.reason",
        "actor": "event.actor",
    },
    values=ALARM.values,
)
WINDOW = Words(
    {
        "id": "window.id",
        "name": "window.name",
        "starts_at": "window.starttime",
        "ends_at": "window.endtime",
        "weekdays": "window.weekdays",
        "begins": "window.start",
        "minutes": "window.minutes",
        "zone": "window.zone",
        "tenants": "window.appids",
        "hosts": "window.hostids",
        "vms": "window.vmids",
        "severities": "window.levels",
        "rules": "window.rules",
    },
    values=ALARM.values,
)

SECTION = Section(
    "2.15",
    Text("告警", "Alarms"),
    (
        Operation(
            "POST",
            "cloudalarm/search",
            "2.15.1",
            Text("查询告警信息", "Search alarms"),
            alarms.search,
            ALARM,
            starred=("start", "limit"),
            unless="unpaged",
        ),
        Operation(
            "PUT",
            "cloudalarm/relieve",
            EXTENSION,
            Text("人工解除告警", "Relieve alarm"),
            alarms.relieve,
            ALARM,
            writes=True,
        ),
        Operation(
            "PUT",
            "cloudalarm/acknowledge",
            EXTENSION,
            Text("确认告警", "Acknowledge alarm"),
            alarms.acknowledge,
            ALARM,
            writes=True,
        ),
        Operation(
            "PUT",
            "cloudalarm/shelve",
            EXTENSION,
            Text("搁置告警", "Shelve alarm"),
            alarms.shelve,
            ALARM,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudalarm/history",
            EXTENSION,
            Text("查询告警历史", "Alarm history"),
            alarms.history,
            EVENT,
        ),
        Operation(
            "POST",
            "cloudalarm/maintenance/create",
            EXTENSION,
            Text("新建告警维护窗口", "Announce a maintenance window"),
            schedule.announce,
            WINDOW,
            role=Role.PLATFORM,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudalarm/maintenance/search",
            EXTENSION,
            Text("查询告警维护窗口", "Search maintenance windows"),
            schedule.search,
            WINDOW,
            role=Role.PLATFORM,
        ),
        Operation(
            "DELETE",
            "cloudalarm/maintenance/{windowid}",
            EXTENSION,
            Text("删除告警维护窗口", "Take a maintenance window back"),
            maintenance.delete,
            Words({"id": "windowid"}),
            role=Role.PLATFORM,
            writes=True,
        ),
    ),
)
