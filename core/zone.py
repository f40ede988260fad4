"""The zone of everything that people read: times on the wire, and the days of day lines."""

from __future__ import annotations

import os
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.errors import Invalid

_LOCAL = Path("/etc/localtime")


def zone(name: str | None) -> tzinfo:
    """The IANA zone `name`, or the server's when it is None. Raises Invalid for a name that does not exist."""
    if name is None:
        return server_zone()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid("timezone", f"{name!r} is not a time zone", "an IANA name, such as Asia/Shanghai") from None


def server_zone(environment: str | None = None, local: Path = _LOCAL) -> tzinfo:
    """What the variable TZ names, else what the system's local time is, else UTC. Rules, not a fixed offset."""
    named = (os.environ.get("TZ", "") if environment is None else environment).removeprefix(":")
    if named:
        try:
            return ZoneInfo(named)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return UTC
    try:
        with local.open("rb") as rules:
            return ZoneInfo.from_file(rules)
    except (OSError, ValueError):
        return UTC
