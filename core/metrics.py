"""The registry of the product's own metrics: each part declares its own, in its own `metrics` module."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

REGISTRY = CollectorRegistry()
