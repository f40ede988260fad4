"""2.10 Quotas on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section
from core.context import Role

SECTION = Section(
    "2.10",
    Text("资源配额", "Quotas"),
    (
        Operation(
            "POST",
            "resourcequota/search",
            "2.10.1",
            Text("查询资源池总配额", "Total quota of the resource pool"),
            role=Role.PLATFORM,
        ),
        Operation(
            "PUT", "resourcequota/modify", "2.10.2", Text("更新租户配额", "Update tenant quota"), role=Role.PLATFORM
        ),
        Operation("POST", "resourcequota/usableQuota", "2.10.3", Text("查询租户可用配额", "Usable quota of a tenant")),
    ),
)
