"""Metrics of the audit log."""

from __future__ import annotations

from prometheus_client import Counter

from core.metrics import REGISTRY

ENTRIES = Counter(
    "starvc_audit_entries",
    "Entries written to the audit log: succeeded, failed, refused.",
    ("outcome",),
    registry=REGISTRY,
)
LOST = Counter(
    "starvc_audit_entries_lost",
    "Entries about failures and refusals that could not be written, because the database could not.",
    registry=REGISTRY,
)
REFUSALS = Counter(
    "starvc_audit_refused_tokens",
    "Requests refused for their token. Those of one address share an entry every five minutes.",
    registry=REGISTRY,
)
FORGOTTEN = Counter(
    "starvc_audit_entries_forgotten", "Entries of the audit log deleted after their retention.", registry=REGISTRY
)
