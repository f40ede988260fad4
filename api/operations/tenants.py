"""2.1 Tenants on the wire. The document calls a tenant *app*."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import EXTENSION, Operation, Section
from api.wire.words import Words
from core.context import Role
from core.tenancy import tenants, tokens

TENANT = Words(
    {
        "id": "app.id",
        "name": "app.name",
        "description": "app.desc",
        "created_at": "app.createtime",
        "cpu_limit": "app.cpu.quota",
        "memory_mb_limit": "app.memory.quota",
        "storage_gb_limit": "app.storage.quota",
        "subnets_limit": "app.portgroup.quota",
        "outer_ips_limit": "app.outerip.quota",
        "token": "app.token",
    }
)
TOKEN = Words(
    {
        "id": "app.id",
        "action": "token.action",
        "token_id": "token.id",
        "token": "app.token",
        "created_at": "token.createtime",
        "last_used_at": "token.lastusedtime",
    }
)
IN_PATH = Words({"id": "appid"})

SECTION = Section(
    "2.1",
    Text("租户", "Tenants"),
    (
        Operation(
            "POST",
            "cloudTenant/create",
            "2.1.1",
            Text("创建租户", "Create tenant"),
            tenants.create,
            TENANT,
            role=Role.PLATFORM,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudTenant/search",
            EXTENSION,
            Text("查询租户", "Search tenants"),
            tenants.search,
            TENANT,
            role=Role.PLATFORM,
        ),
        Operation(
            "PUT",
            "cloudTenant/token",
            EXTENSION,
            Text("签发、撤销或列出租户令牌", "Issue, revoke or list tokens of a tenant"),
            tokens.change,
            TOKEN,
            role=Role.PLATFORM,
            writes=True,
        ),
        Operation(
            "DELETE",
            "cloudTenant/{appid}",
            EXTENSION,
            Text("删除租户", "Delete tenant"),
            tenants.delete,
            IN_PATH,
            role=Role.PLATFORM,
            writes=True,
        ),
    ),
)
