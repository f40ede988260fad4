"""2.11 IP address pools on the wire."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import Operation, Section

SECTION = Section(
    "2.11",
    Text("IP 地址池", "IP address pools"),
    (
        Operation(
            "POST",
            "cloudip/mapping/outerIp/search",
            "2.11.1",
            Text("映射功能查询外网IP列表", "External IPs for mapping"),
        ),
    ),
)
