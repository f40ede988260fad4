"""What a node of VictoriaMetrics says of itself on `/metrics`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from core.timeseries.metrics import RETENTION_MISSING
from core.timeseries.served.transport import Transport
from core.timeseries.store import Level, StoreDenied

_STARTED: Final = re.compile(rb"^vm_app_start_timestamp (\S+)", re.MULTILINE)
_RETENTION: Final = re.compile(rb'^flag\{name="retentionPeriod", value="([0-9.]+)([hdwy]?)"', re.MULTILINE)
_DAY: Final = 86_400
_UNITS: Final = {b"h": 3600, b"d": _DAY, b"w": 7 * _DAY, b"y": 365 * _DAY, b"": 31 * _DAY}
"""Of `-retentionPeriod`; a number without a unit is months."""

_log = structlog.get_logger(__name__)


def started(page: bytes) -> float:
    """When the process started, epoch seconds; 0 for a page of something else."""
    found = _STARTED.search(page)
    return float(found.group(1)) if found else 0.0


def kept(page: bytes) -> float | None:
    """For how many seconds the node keeps its points; None when it does not say."""
    found = _RETENTION.search(page)
    return float(found.group(1)) * _UNITS[found.group(2)] if found else None


def examine(http: Transport, nodes: Sequence[str], wanted: Mapping[Level, int]) -> list[float | None]:
    """Warns of levels that a node keeps shorter than wanted (seconds, 0 for ever). Returns for how long each keeps its
    points, as `kept`. Raises StoreDenied when one is no VictoriaMetrics, StoreUnavailable."""
    keeps = [kept(_page(http, node)) for node in nodes]
    for level, least in wanted.items():
        missing = [0.0 if found is None else max((least or float("inf")) - found, 0.0) for found in keeps]
        RETENTION_MISSING.labels("victoriametrics", level).set(max(missing, default=0.0))
        for node, found, short in zip(nodes, keeps, missing, strict=True):
            if short:
                _log.warning("store_keeps_less", node=node, level=level, retention=found, wanted=least)
    return keeps


def _page(http: Transport, node: str) -> bytes:
    page = http.get(f"{node}/metrics", "metrics")
    if not started(page):
        raise StoreDenied(f"victoriametrics: what answers at {node} is no VictoriaMetrics")
    return page
