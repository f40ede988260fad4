"""Metrics of the API. The label `operation` is a declared method and path, or `unknown`: bounded."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Histogram

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
