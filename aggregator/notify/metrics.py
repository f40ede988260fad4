"""What can be seen of the notifications from outside."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from core.metrics import REGISTRY

NOTIFICATIONS = Counter(
    "starvc_notifications_total",
    "Attempts to deliver, by the receiver's kind and outcome: delivered, failed (tried again), dead (given up).",
    ["kind", "outcome"],
    registry=REGISTRY,
)
SEND_SECONDS = Histogram(
    "starvc_notification_send_duration_seconds",
    "Time of one call to a receiver, with all letters of it.",
    ["kind"],
    registry=REGISTRY,
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
DWELL_SECONDS = Histogram(
    "starvc_notification_dwell_seconds",
    "Time from a change of an alarm to its delivery to a receiver.",
    ["kind"],
    registry=REGISTRY,
    buckets=(0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0),
)
CIRCUIT = Gauge(
    "starvc_notification_circuit_open",
    "1: the receiver fails and is left alone for a while.",
    ["receiver"],
    registry=REGISTRY,
)
OUTBOX_DEPTH = Gauge(
    "starvc_notification_outbox_depth", "Notifications that wait for delivery.", ["receiver"], registry=REGISTRY
)
OUTBOX_AGE = Gauge(
    "starvc_notification_outbox_oldest_age_seconds",
    "Age of the oldest notification that waits for delivery; 0: none waits.",
    ["receiver"],
    registry=REGISTRY,
)
