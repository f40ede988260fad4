"""What the stores say about themselves."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from core.metrics import REGISTRY

WRITE_SECONDS = Histogram(
    "starvc_store_write_duration_seconds",
    "Time of one durable write to the embedded store, by level.",
    ["level"],
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
SAMPLES_WRITTEN = Counter(
    "starvc_store_samples_total",
    "Samples (object and time) that the embedded store has made durable, by kind.",
    ["kind"],
    registry=REGISTRY,
)
UNAVAILABLE = Counter(
    "starvc_store_unavailable_total",
    "Calls that the embedded store refused because its file was locked, full or unreadable, by level.",
    ["level"],
    registry=REGISTRY,
)
CORRUPT = Counter(
    "starvc_store_corrupt_rows_total",
    "Rows left out of an answer because their checksum or size was wrong, by level.",
    ["level"],
    registry=REGISTRY,
)
