"""Metrics of tenants and tokens."""

from __future__ import annotations

from prometheus_client import Counter

from core.metrics import REGISTRY

USE_UPDATES_FAILED = Counter(
    "starvc_token_use_updates_failed_total",
    "Times the last use of a token could not be noted because the database could not be written; the request was served.",
    registry=REGISTRY,
)
