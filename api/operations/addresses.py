"""2.11 IP address pools on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import EXTENSION, Operation, Section
from api.wire.words import Words
from core.context import Role
from core.network import outer_search, pools

FIND = Words(
    {
        "inner_ip": "inner.ip",
        "type": "nat.type",
        "part": "ipaddress",
        "tenant_id": "tenant.id",
        "ip": "ipaddress.only",
    }
)
FOUND = Words(
    {"ip": "ipaddress", "ports": "ports", "gateway": "gateway", "netmask": "netmask"}, omitted=frozenset({"ports"})
)
POOL = Words(
    {
        "id": "pool.id",
        "addresses": "pool.addresses",
        "first": "pool.first",
        "last": "pool.last",
        "gateway": "pool.gateway",
        "netmask": "pool.netmask",
        "size": "pool.size",
        "taken": "pool.taken",
        "created_at": "pool.createtime",
    }
)
POOL_IN_PATH = Words({"id": "poolid"})

SECTION = Section(
    "2.11",
    Text("IP 地址池", "IP address pools"),
    (
        Operation(
            "POST",
            "cloudip/mapping/outerIp/search",
            "2.11.1",
            Text("映射功能查询外网IP列表", "External IPs for mapping"),
            outer_search.search,
            FIND,
            FOUND,
        ),
        Operation(
            "POST",
            "cloudip/pool/create",
            EXTENSION,
            Text("添加外网IP地址池", "Add pool of external IPs"),
            pools.add,
            POOL,
            role=Role.PLATFORM,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudip/pool/search",
            EXTENSION,
            Text("查询外网IP地址池", "Search pools of external IPs"),
            pools.search,
            POOL,
            role=Role.PLATFORM,
        ),
        Operation(
            "DELETE",
            "cloudip/pool/{poolid}",
            EXTENSION,
            Text("删除外网IP地址池", "Delete pool of external IPs"),
            pools.delete,
            POOL_IN_PATH,
            role=Role.PLATFORM,
            writes=True,
        ),
    ),
)
