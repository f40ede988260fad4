"""What can be seen of the networks' reconciliation from outside."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from core.metrics import REGISTRY

NODES: Final = Gauge(
    "starvc_network_nodes",
    "Routers and NICs by type and state: confirmed, waiting (to be applied), failing (applying it failed last).",
    ["type", "state"],
    registry=REGISTRY,
)
PENDING_RULES: Final = Gauge(
    "starvc_network_pending_rules", "Rules that are not in effect on their NIC yet.", registry=REGISTRY
)
APPLIED: Final = Counter(
    "starvc_network_applies",
    "Attempts to apply a node, by type and outcome: confirmed, removed, failed, unreachable, ahead (the host had a "
    "later generation), waiting (there is no host for it yet), overtaken (another server took it).",
    ["type", "outcome"],
    registry=REGISTRY,
)
APPLY_SECONDS: Final = Histogram(
    "starvc_network_apply_duration_seconds",
    "Time of one call to the network driver, with all nodes of it.",
    buckets=(0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    registry=REGISTRY,
)
COMPILE_SECONDS: Final = Histogram(
    "starvc_network_compile_duration_seconds",
    "Time to read and compile the nodes of one round.",
    buckets=(0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    registry=REGISTRY,
)
DRIFT: Final = Counter(
    "starvc_network_drifts",
    "Nodes found to be other than was confirmed, by kind: lost (its host has not got it, or an older or damaged one), "
    "moved (its host changed), strange (nobody wants it there), unmarked (it was never applied).",
    ["kind"],
    registry=REGISTRY,
)
SILENT_HOSTS: Final = Gauge(
    "starvc_network_silent_hosts", "Hosts that did not report their nodes in the last sweep.", registry=REGISTRY
)
