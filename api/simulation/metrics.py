"""Metrics of the simulated data centre as a server."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

from core.metrics import REGISTRY

PAGES: Final = Counter(
    "starvc_simulation_pages",
    "Requests to simulated exporters, by page (host, vm, none) and outcome (served, unanswered, refused).",
    ("page", "outcome"),
    registry=REGISTRY,
)
FAULTS: Final = Counter(
    "starvc_simulation_faults",
    "Faults injected into the simulated data centre, heals included, by action.",
    ("action",),
    registry=REGISTRY,
)
