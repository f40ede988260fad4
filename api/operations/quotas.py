"""2.10 Quotas on the wire."""

from __future__ import annotations

from api.wire.envelope import Nothing
from api.wire.languages import Text
from api.wire.operation import Operation, Section
from api.wire.words import Words
from core.context import Role
from core.hosts import capacity
from core.tenancy import quotas

_POOL = {"cpu": "cpu", "memory_mb": "memory", "storage_gb": "storage", "outer_ips": "ip"}
_USABLE = {
    "cpu_left": "cpu",
    "memory_mb_left": "memory",
    "storage_gb_left": "storage",
    "outer_ips_left": "outerIpSize",
    "subnets_left": "portGroupSize",
    "object_storage_gb_left": "oss",
    "cpu_limit": "countCpu",
    "memory_mb_limit": "countMemory",
    "storage_gb_limit": "countStorage",
    "outer_ips_limit": "countOuterIpSize",
    "subnets_limit": "countPortGroupSize",
    "object_storage_gb_limit": "countOss",
}
POOL = Words(_POOL, numbers=frozenset(_POOL))
CHANGE = Words({**_POOL, "tenant_id": "tenantId", "subnets": "vpc"})
IN_REQUEST = Words({"tenant_id": "tenant.id"})
USABLE = Words(_USABLE, numbers=frozenset(_USABLE))

SECTION = Section(
    "2.10",
    Text("资源配额", "Quotas"),
    (
        Operation(
            "POST",
            "resourcequota/search",
            "2.10.1",
            Text("查询资源池总配额", "Total quota of the resource pool"),
            capacity.pool,
            POOL,
            role=Role.PLATFORM,
        ),
        Operation(
            "PUT",
            "resourcequota/modify",
            "2.10.2",
            Text("更新租户配额", "Update tenant quota"),
            quotas.change,
            CHANGE,
            role=Role.PLATFORM,
            writes=True,
            nothing=Nothing.ABSENT,
        ),
        Operation(
            "POST",
            "resourcequota/usableQuota",
            "2.10.3",
            Text("查询租户可用配额", "Usable quota of a tenant"),
            quotas.read,
            IN_REQUEST,
            USABLE,
        ),
    ),
)
