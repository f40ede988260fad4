"""What the stores say about themselves."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from core.metrics import REGISTRY

WRITE_SECONDS = Histogram(
    "starvc_store_write_duration_seconds",
    "Time of one durable write to the store, by level.",
    ["level"],
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
SAMPLES_WRITTEN = Counter(
    "starvc_store_samples_total",
    "Samples (object and time) that the store has made durable, by kind.",
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
REQUESTS = Counter(
    "starvc_store_requests_total",
    "Requests to the server of the store, by operation and HTTP status; none: no answer.",
    ["store", "operation", "status"],
    registry=REGISTRY,
)
REQUEST_SECONDS = Histogram(
    "starvc_store_request_duration_seconds",
    "Time of one request to the server of the store with its repetitions, by operation.",
    ["store", "operation"],
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
RETRIES = Counter(
    "starvc_store_retries_total",
    "Requests repeated because the server of the store was busy, by HTTP status.",
    ["store", "status"],
    registry=REGISTRY,
)
SENT_BYTES = Counter(
    "starvc_store_sent_bytes_total",
    "Bytes of write requests to the server of the store, compressed, repetitions not counted.",
    ["store"],
    registry=REGISTRY,
)
TOO_OLD = Counter(
    "starvc_store_too_old_points_total",
    "Points (object and time) that the server of the store left out because they are older than it keeps.",
    ["store"],
    registry=REGISTRY,
)
REPLAYS = Counter(
    "starvc_store_replays_total",
    "Times that the last writes were sent again because the server of the store had been restarted.",
    ["store"],
    registry=REGISTRY,
)
RETENTION_MISSING = Gauge(
    "starvc_store_retention_missing_seconds",
    "By how much the server of the store keeps points shorter than the settings ask for, by level; 0: it does not.",
    ["store", "level"],
    registry=REGISTRY,
)
