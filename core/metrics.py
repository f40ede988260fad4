"""The registry of the product's own metrics. Each part declares its metrics in its own `metrics` module, on this registry."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

REGISTRY = CollectorRegistry()
