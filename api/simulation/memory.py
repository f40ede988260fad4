"""What the simulation remembers across restarts: its ports, and all that was done to it. One JSON file, replaced as a
whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import structlog

from core.files import replace_private

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Memory:
    """`ports` by host id; `fleet` is a dump of the fleet, None when there is none."""

    ports: Mapping[str, int] = field(default_factory=dict)
    fleet: Mapping[str, Any] | None = None


def recall(file: Path) -> Memory:
    """Nothing when the file is missing or cannot be understood: a simulation starts in any case, and says so."""
    try:
        found = orjson.loads(file.read_bytes())
        return Memory({str(host): int(port) for host, port in found["ports"].items()}, dict(found["fleet"]))
    except FileNotFoundError:
        return Memory()
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        _log.warning("simulation_forgotten", file=str(file), reason=str(problem))
        return Memory()


def remember(file: Path, memory: Memory) -> None:
    """Durable on return; a reader sees the old file or the new one. Raises OSError."""
    replace_private(file, orjson.dumps({"ports": dict(memory.ports), "fleet": memory.fleet}).decode())
