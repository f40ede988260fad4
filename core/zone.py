"""The zone of everything that people read: times on the wire, and the days of day lines."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.errors import Invalid

LOCAL_TIME: Final = Path("/etc/localtime")
_UNREADABLE = (ZoneInfoNotFoundError, ValueError, OSError)


@lru_cache(maxsize=8)
def zone(name: str | None) -> ZoneInfo:
    """The IANA zone `name`, or the server's when it is None. Raises Invalid for a name that does not exist."""
    if name is None:
        return server_zone(os.environ.get("TZ", ""), LOCAL_TIME)
    try:
        return ZoneInfo(name)
    except _UNREADABLE:
        raise Invalid("timezone", f"{name!r} is not a time zone", "an IANA name, such as Asia/Shanghai") from None


def server_zone(variable: str, local_time: Path) -> ZoneInfo:
    """What the variable TZ names, else what the file says, else UTC: rules, not a fixed offset."""
    try:
        if variable:
            return ZoneInfo(variable.removeprefix(":"))
        with local_time.open("rb") as rules:
            return ZoneInfo.from_file(rules)
    except _UNREADABLE:
        return ZoneInfo("UTC")
