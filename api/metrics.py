"""Metrics of the API. The label `operation` is a declared method and path, or `unknown`: bounded."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from core.metrics import REGISTRY

UNKNOWN: Final = "unknown"

REQUESTS = Counter(
    "starvc_api_requests",
    "API requests answered, by operation and result: the envelope's code, or the HTTP status where it is not 200.",
    ("operation", "result"),
    registry=REGISTRY,
)
DURATION = Histogram(
    "starvc_api_request_duration_seconds",
    "Time from the request's headers to its answer.",
    ("operation",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    registry=REGISTRY,
)
CONSOLES_OPENED = Counter(
    "starvc_consoles_opened", "Consoles of VMs that were opened through the proxy.", registry=REGISTRY
)
CONSOLES_OPEN = Gauge("starvc_consoles_open", "Consoles of VMs that are open through the proxy now.", registry=REGISTRY)
CONSOLES_REFUSED = Counter(
    "starvc_consoles_refused",
    "Consoles that were not opened, by reason: unknown, used, expired, revoked (the token), stopped (the VM),"
    " unreachable, full, unavailable (the database).",
    ("reason",),
    registry=REGISTRY,
)
CONSOLES_CLOSED = Counter(
    "starvc_consoles_closed",
    "Consoles that were closed, by what ended them: viewer, vm, idle, revoked, protocol, shutdown.",
    ("by",),
    registry=REGISTRY,
)
CONSOLE_BYTES = Counter(
    "starvc_console_bytes",
    "Bytes that consoles carried, by direction: to_viewer, to_vm.",
    ("direction",),
    registry=REGISTRY,
)
