"""What the watch over the hosts tells about itself."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from core.metrics import REGISTRY

STATE = Gauge(
    "starvc_host_state",
    "State of a host: 0 stopped, 1 running, 2 offline, -1 fault detecting, -2 HA detecting.",
    ["host_id"],
    registry=REGISTRY,
)
TRANSITIONS = Counter(
    "starvc_host_transitions",
    "Changes of host states, by the codes before and after.",
    ["from", "to"],
    registry=REGISTRY,
)
SUSPECTS = Gauge("starvc_host_suspects", "Hosts that ought to answer and do not.", registry=REGISTRY)
BRAKE = Gauge(
    "starvc_host_brake_engaged",
    "1 while too many hosts are suspected at once and none is acted upon.",
    registry=REGISTRY,
)
BLIND = Gauge("starvc_host_own_link_lost", "1 while no host at all is seen: the trouble is ours.", registry=REGISTRY)
PROBES = Counter(
    "starvc_host_probes", "Suspected hosts asked directly, by their answer.", ["answer"], registry=REGISTRY
)
FENCINGS = Counter(
    "starvc_host_fencings",
    "Attempts to fence a host, by result: fenced, unknown or error.",
    ["result"],
    registry=REGISTRY,
)
RESTARTS = Counter(
    "starvc_host_vm_restarts",
    "VMs of dead hosts, by what became of them: moved in the inventory, left where they were, or not started yet.",
    ["result"],
    registry=REGISTRY,
)
STEP_SECONDS = Histogram(
    "starvc_host_watch_step_seconds",
    "Duration of one step of the watch over all hosts.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    registry=REGISTRY,
)
RACES_LOST = Counter(
    "starvc_host_races_lost", "Decisions on a host that another detector had decided first.", registry=REGISTRY
)
STORE_FAILURES = Counter(
    "starvc_host_watch_store_failures", "Steps without samples, because the store did not answer.", registry=REGISTRY
)
ABSENCES = Counter(
    "starvc_host_watch_absences",
    "Times the watch found itself stopped, or the clock set, and began anew.",
    registry=REGISTRY,
)
