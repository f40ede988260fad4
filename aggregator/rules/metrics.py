"""The rules' own metrics. `starvc_rules_last_evaluation_timestamp_seconds` is the dead-man's switch: alarm when it
stands still."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from core.metrics import REGISTRY

DURATION = Histogram(
    "starvc_rule_evaluation_duration_seconds",
    "Time of one evaluation of all rules on all objects, by stage.",
    ["stage"],
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
EVALUATIONS = Counter(
    "starvc_rule_evaluations_total",
    "Evaluations of all rules, by outcome: complete, degraded (the store failed in part), failed, clock_jump.",
    ["outcome"],
    registry=REGISTRY,
)
MISSED = Counter(
    "starvc_rule_slots_missed_total",
    "Evaluation slots that passed without an evaluation because the one before took too long.",
    registry=REGISTRY,
)
JUMPS = Counter(
    "starvc_rule_clock_jumps_total",
    "Times that the wall clock moved against the monotonic clock between two evaluations.",
    registry=REGISTRY,
)
STORE_FAILURES = Counter(
    "starvc_rule_store_failures_total",
    "Reads of the time-series store that failed during evaluations.",
    registry=REGISTRY,
)
FINDINGS = Gauge(
    "starvc_rule_findings",
    "Objects that the last evaluation found worth a word, by rule.",
    ["rule"],
    registry=REGISTRY,
)
COMPLETENESS = Gauge(
    "starvc_alarm_completeness_ratio",
    "Share of the expected objects that had fresh samples in the last evaluation.",
    ["kind"],
    registry=REGISTRY,
)
LAST = Gauge(
    "starvc_rules_last_evaluation_timestamp_seconds",
    "When all rules were evaluated last: the dead-man's switch.",
    registry=REGISTRY,
)
LOADED = Gauge("starvc_rules_loaded", "Rules in force.", registry=REGISTRY)
RELOADS = Counter(
    "starvc_rule_reloads_total",
    "Loads of the rule files, by result: loaded, refused.",
    ["result"],
    registry=REGISTRY,
)
