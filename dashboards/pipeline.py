"""The pipeline itself: does it keep up, does it lose anything, would it tell?"""

from dashboards.panels import COUNT, PER_SECOND, QUARTER, SECONDS, Board, Panel

RATIO = "percentunit"


def _slowest(metric: str, by: str) -> str:
    return f"histogram_quantile(0.99, sum by (le, {by}) (rate({metric}_bucket[5m])))"


PIPELINE = Board(
    uid="starvc-pipeline",
    title="StarVC / Pipeline",
    meaning="Scrapes, store, lines, rules, notifications and the API: lateness, losses, cost.",
    rows=(
        (
            "Can it be trusted?",
            (
                Panel(
                    "Objects with fresh data",
                    RATIO,
                    [("min(starvc_alarm_completeness_ratio)", "")],
                    "The share of the inventory that rules could judge, of the worst kind.",
                    shape="number",
                    width=QUARTER,
                ),
                Panel(
                    "Since rules were evaluated",
                    SECONDS,
                    [("time() - starvc_rules_last_evaluation_timestamp_seconds", "")],
                    "The dead man's switch: alert on this from outside.",
                    shape="number",
                    width=QUARTER,
                    limits=(30, 60),
                ),
                Panel(
                    "Oldest notification waiting",
                    SECONDS,
                    [("starvc_notification_outbox_oldest_age_seconds", "")],
                    shape="number",
                    width=QUARTER,
                    limits=(60, 300),
                ),
                Panel(
                    "Slots missed, 1 h",
                    COUNT,
                    [("sum(increase(starvc_collector_missed_slots_total[1h]))", "")],
                    shape="number",
                    width=QUARTER,
                    limits=(1, 100),
                ),
            ),
        ),
        (
            "Collecting",
            (
                Panel(
                    "Scrapes",
                    PER_SECOND,
                    [("sum by (outcome) (rate(starvc_collector_scrapes_total[5m]))", "{{outcome}}")],
                ),
                Panel(
                    "Slowest scrapes (p99)",
                    SECONDS,
                    [(_slowest("starvc_collector_scrape_duration_seconds", "job"), "duration")],
                ),
                Panel(
                    "CPU of the collector",
                    RATIO,
                    [("sum by (phase) (rate(starvc_collector_cpu_seconds_total[5m]))", "{{phase}}")],
                ),
                Panel(
                    "Points waiting and lost",
                    COUNT,
                    [
                        ("starvc_collector_queued_points", "waiting for the store"),
                        ("sum by (reason) (increase(starvc_collector_dropped_points_total[5m]))", "lost: {{reason}}"),
                    ],
                ),
            ),
        ),
        (
            "Lines and rules",
            (
                Panel("Lines behind", SECONDS, [("starvc_rollup_lag_seconds", "{{level}}")]),
                Panel("Jobs (p99)", SECONDS, [(_slowest("starvc_job_duration_seconds", "job"), "{{job}}")]),
                Panel(
                    "Alarm transitions",
                    COUNT,
                    [("sum by (change) (increase(starvc_alarm_transitions_total[5m]))", "{{change}}")],
                ),
                Panel(
                    "Notifications",
                    COUNT,
                    [("sum by (outcome) (increase(starvc_notifications_total[5m]))", "{{outcome}}")],
                ),
            ),
        ),
        (
            "API",
            (
                Panel(
                    "Requests",
                    PER_SECOND,
                    [("sum by (operation) (rate(starvc_api_requests_total[5m]))", "{{operation}}")],
                ),
                Panel(
                    "Latency (p99)",
                    SECONDS,
                    [(_slowest("starvc_api_request_duration_seconds", "operation"), "{{operation}}")],
                ),
                Panel(
                    "Failures",
                    PER_SECOND,
                    [('sum by (result) (rate(starvc_api_requests_total{result!="0"}[5m]))', "{{result}}")],
                ),
                Panel("Tasks", COUNT, [("sum by (state) (starvc_tasks)", "{{state}}")]),
            ),
        ),
    ),
)
