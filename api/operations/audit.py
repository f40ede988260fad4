"""Extension: the audit log on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import EXTENSION, Operation, Section
from api.wire.words import Words
from core.audit import search
from core.audit.rows import Outcome
from core.context import Role

ENTRY = Words(
    {
        "id": "audit.id",
        "at": "audit.time",
        "since": "audit.starttime",
        "until": "audit.endtime",
        "before": "audit.beforeid",
        "role": "audit.role",
        "tenant_id": "app.id",
        "token_id": "token.id",
        "address": "audit.address",
        "operation": "audit.operation",
        "parameters": "audit.params",
        "objects": "audit.objects",
        "object_id": "audit.objid",
        "unlisted": "audit.objects.more",
        "tasks": "audit.startids",
        "outcome": "audit.result",
        "code": "audit.resultcode",
        "reason": "audit.resultinfo",
        "times": "audit.count",
    },
    values={Outcome: {Outcome.SUCCEEDED: ("0",), Outcome.FAILED: ("1",), Outcome.REFUSED: ("1003",)}},
    nested={
        search.Concerned: Words({"name": "audit.objname", "object_id": "audit.objid"}),
        search.GivenParameter: Words({"name": "param.name", "value": "param.value"}),
    },
)

SECTION = Section(
    EXTENSION,
    Text("审计日志", "Audit log"),
    (
        Operation(
            "POST",
            "cloudaudit/search",
            EXTENSION,
            Text("查询审计日志", "Search the audit log"),
            search.search,
            ENTRY,
            role=Role.PLATFORM,
            starred=("start", "limit"),
        ),
    ),
)
