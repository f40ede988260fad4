"""What the task engine tells about itself."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from core.metrics import REGISTRY

_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)

TASKS = Gauge(
    "starvc_tasks",
    "Tasks that have not ended: queued, running, or settling (ended badly, their object is being put right).",
    ["state"],
    registry=REGISTRY,
)
OLDEST = Gauge(
    "starvc_task_queue_oldest_age_seconds", "Age of the oldest queued task; 0: none waits.", registry=REGISTRY
)
SERVERS = Gauge("starvc_task_servers", "Servers that are alive and share the tasks.", registry=REGISTRY)
SUBMITTED = Counter("starvc_tasks_submitted", "Tasks that were accepted, by kind.", ["kind"], registry=REGISTRY)
DURATION = Histogram(
    "starvc_task_duration_seconds",
    "From the start of a task to its end, settlement included, by kind and result.",
    ["kind", "result"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
WAITED = Histogram(
    "starvc_task_wait_seconds",
    "From the acceptance of a task to its start, by kind.",
    ["kind"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
OVERTAKEN = Counter(
    "starvc_tasks_overtaken",
    "Results that were refused, because the task had been taken from its worker: it was over time, or thought dead.",
    ["kind"],
    registry=REGISTRY,
)
RECOVERED = Counter(
    "starvc_tasks_recovered",
    "What recovery decided about tasks: lost, resumed, aborted, timed_out, or settled by another server.",
    ["decision"],
    registry=REGISTRY,
)
SETTLEMENTS_FAILED = Counter(
    "starvc_task_settlements_failed",
    "Attempts to put the object of an ended task right that failed and will be repeated, by kind.",
    ["kind"],
    registry=REGISTRY,
)
CRASHES = Counter(
    "starvc_task_crashes", "Steps that ended in an error nobody foresaw, by kind.", ["kind"], registry=REGISTRY
)
DATABASE_FAILURES = Counter(
    "starvc_task_database_failures",
    "Moments at which the engine could not use the database; it goes on trying.",
    registry=REGISTRY,
)
REBIRTHS = Counter(
    "starvc_task_server_rebirths",
    "Times this server found itself declared dead by its peers, and went on under a new identity.",
    registry=REGISTRY,
)
FORGOTTEN = Counter("starvc_tasks_forgotten", "Ended tasks that were deleted after their retention.", registry=REGISTRY)
