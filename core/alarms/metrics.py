"""What can be seen of the alarms from outside."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from core.metrics import REGISTRY

ALARMS = Gauge(
    "starvc_alarms",
    "Open alarms. The state is the first that applies of shelved, suppressed, flapping, latched, acknowledged, raised.",
    ["severity", "state"],
    registry=REGISTRY,
)
TRANSITIONS = Counter(
    "starvc_alarm_transitions_total", "Changes of alarms, by what changed.", ["change"], registry=REGISTRY
)
REFUSED = Counter(
    "starvc_alarms_refused_total",
    "Evaluations in which an alarm was due and not created, because its rule was at its limit of open ones.",
    registry=REGISTRY,
)
