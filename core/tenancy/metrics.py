"""Metrics of tenants and tokens."""

from __future__ import annotations

from prometheus_client import Counter

from core.metrics import REGISTRY

USE_UPDATES_FAILED = Counter(
    "starvc_token_use_updates_failed_total",
    "Requests served although the last use of their token could not be noted: the database could not be written.",
    registry=REGISTRY,
)
