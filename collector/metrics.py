"""What the collector says about itself."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from core.metrics import REGISTRY

SCRAPES = Counter(
    "starvc_collector_scrapes_total",
    "Scrapes by outcome: success, or the class of the failure.",
    ["outcome"],
    registry=REGISTRY,
)
SCRAPE_SECONDS = Histogram(
    "starvc_collector_scrape_duration_seconds",
    "Time of a scrape, from the first byte sent to the page parsed.",
    registry=REGISTRY,
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
LATENESS = Histogram(
    "starvc_collector_lateness_seconds",
    "How long after its scheduled time a scrape began.",
    registry=REGISTRY,
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
SAMPLES = Counter("starvc_collector_samples_total", "Samples on the pages that were read.", registry=REGISTRY)
POINTS = Counter(
    "starvc_collector_points_total",
    "Points (object and time) that are in the store, by kind.",
    ["kind"],
    registry=REGISTRY,
)
STRANGERS = Counter(
    "starvc_collector_unknown_domain_samples_total",
    "Samples left out because the inventory knows no such VM on that host.",
    registry=REGISTRY,
)
CPU_SECONDS = Counter(
    "starvc_collector_cpu_seconds_total",
    "CPU time of the collector, by phase: fetch (and everything else on its loop), parse, rates, write, targets.",
    ["phase"],
    registry=REGISTRY,
)
FETCH_CPU = CPU_SECONDS.labels("fetch")
PARSE_CPU = CPU_SECONDS.labels("parse")
RATES_CPU = CPU_SECONDS.labels("rates")
WRITE_CPU = CPU_SECONDS.labels("write")
TARGETS_CPU = CPU_SECONDS.labels("targets")
MISSED = Counter(
    "starvc_collector_missed_slots_total",
    "Scheduled scrapes that were not made, by reason: late (the loop came too late), busy (the one before still ran).",
    ["reason"],
    registry=REGISTRY,
)
CLOCK_JUMPS = Counter(
    "starvc_collector_clock_jumps_total", "Times that the wall clock was set, or the machine slept.", registry=REGISTRY
)
DROPPED = Counter(
    "starvc_collector_dropped_points_total",
    "Points that were refused or lost, by reason: future, past (dated too far from now), refused (by the store, for"
    " good), queue_full, queue_failed (the disk), queue_damaged.",
    ["reason"],
    registry=REGISTRY,
)
QUEUED = Gauge("starvc_collector_queued_points", "Points that wait for the store.", registry=REGISTRY)
QUEUED_BYTES = Gauge("starvc_collector_queued_bytes", "Bytes of the queue on disk.", registry=REGISTRY)
QUEUES_DAMAGED = Counter(
    "starvc_collector_damaged_queues_total", "Queues on disk that were put aside as unreadable.", registry=REGISTRY
)
QUEUE_TROUBLES = Counter(
    "starvc_collector_queue_troubles_total",
    "Times that the queue on disk could not be read, or a batch not be removed.",
    registry=REGISTRY,
)
WRITE_SECONDS = Histogram(
    "starvc_collector_write_duration_seconds",
    "Time of one write of the collector to the store.",
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
WRITE_FAILURES = Counter(
    "starvc_collector_write_failures_total",
    "Writes that the store refused for now; they are tried again.",
    registry=REGISTRY,
)
TARGETS = Gauge("starvc_collector_targets", "Targets that are scraped.", registry=REGISTRY)
SOURCE_FAILURES = Counter(
    "starvc_collector_source_failures_total",
    "Times that the list of targets could not be had; the known one stays in force.",
    registry=REGISTRY,
)
