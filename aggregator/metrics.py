"""What the aggregator says about itself."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from core.metrics import REGISTRY

ROLLUP_LAG = Gauge(
    "starvc_rollup_lag_seconds",
    "Seconds since the end of the oldest window of a level that still waits for its final line; 0 when none does.",
    ["level"],
    registry=REGISTRY,
)
WINDOWS = Counter(
    "starvc_rollup_windows_total",
    "Windows computed and made durable, by level; the same window counts each time it is written.",
    ["level"],
    registry=REGISTRY,
)
PENDING = Gauge(
    "starvc_rollup_pending_windows",
    "Windows of a level that got samples and are not computed yet.",
    ["level"],
    registry=REGISTRY,
)
LATE = Counter(
    "starvc_rollup_late_windows_total",
    "Finished minutes that got late samples, by what became of them: recomputed, also when they were"
    " beyond_horizon, or refused because older samples of that minute are already deleted (raw_deleted).",
    ["outcome"],
    registry=REGISTRY,
)
STEP_SECONDS = Histogram(
    "starvc_rollup_step_duration_seconds",
    "Time of one step: reading what arrived, computing and writing lines, retention.",
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
PRUNED = Counter(
    "starvc_retention_deleted_batches_total",
    "Batches of samples (level raw) and windows of lines that retention has deleted, by level.",
    ["level"],
    registry=REGISTRY,
)
JOB_RUNS = Counter(
    "starvc_job_runs_total",
    "Runs of the aggregator's periodic jobs, by outcome: ok, unavailable (a store did not answer), overtaken (the"
    " lease was lost), failed, missed.",
    ["job", "outcome"],
    registry=REGISTRY,
)
LEASE_HELD = Gauge(
    "starvc_lease_held", "1 while this process does the work of the lease.", ["lease"], registry=REGISTRY
)
LEASE_CHANGES = Counter(
    "starvc_lease_takeovers_total", "Times that this process took the lease.", ["lease"], registry=REGISTRY
)
JOB_SECONDS = Histogram(
    "starvc_job_duration_seconds",
    "Time of one run of a periodic job of the aggregator.",
    ["job"],
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
JOB_CPU = Counter(
    "starvc_job_cpu_seconds_total",
    "CPU time of the periodic jobs of the aggregator, in their own threads.",
    ["job"],
    registry=REGISTRY,
)
