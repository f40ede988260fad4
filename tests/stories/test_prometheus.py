"""A real Prometheus that scrapes only us sees the whole cloud."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.product import Product, vm_ids
from tests.support.real import answers, binary, eventually, free_port, server

SELF = (
    "starvc_collector_scrapes",
    "starvc_collector_lateness_seconds",
    "starvc_collector_samples",
    'starvc_collector_cpu_seconds_total{phase="parse"}',
    "starvc_collector_queued_points",
    "starvc_collector_missed_slots",
    "starvc_rollup_lag_seconds",
    "starvc_rule_evaluation_duration_seconds",
    "starvc_alarms",
    "starvc_api_requests",
    "starvc_api_request_duration_seconds",
    "starvc_job_duration_seconds",
    "starvc_store_samples",
)
"""What an operator of the product itself looks at."""


def test_the_metrics_page_is_what_promtool_likes(product: Product) -> None:
    page = product.metrics()
    checked = subprocess.run(
        [binary("promtool"), "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    for vm in vm_ids(product):
        shown = rf'^starvc_vm_cpu_rate_percent{{(?=[^}}]*tenant="tenant-demo")[^}}]*vm_id="{vm}"[^}}]*}} \d'
        assert re.search(shown, page, re.MULTILINE)
    assert re.search(r'^starvc_host_mem_used_bytes{host_id="host-local",host="[^"]+"} \d', page, re.MULTILINE)


def test_the_product_measures_itself(product: Product) -> None:
    def missing() -> list[str]:
        page = product.metrics()
        return [name for name in SELF if not re.search(rf"^{name}(_sum|_total)?({{.*}})? \S", page, re.MULTILINE)]

    eventually(lambda: not missing(), 20, 0.5)


def test_prometheus_scrapes_the_cloud_from_us_without_errors(product: Product, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    target = product.url.removeprefix("http://")
    job = {"job_name": "starvc", "static_configs": [{"targets": [target]}], "scrape_interval": "1s"}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": [job]}), "utf-8")
    command = [
        binary("prometheus"),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]

    def ask(path: str, **query: str) -> Any:
        return httpx.get(f"{url}/api/v1/{path}", params=query, timeout=10, trust_env=False).json()["data"]

    def query(expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ask("query", query=expression)["result"]
        return found

    with server(command, lambda: answers(f"{url}/-/ready"), tmp_path / "prometheus.log"):
        eventually(lambda: query("count_over_time(up[1m]) >= 4"), 30)
        (active,) = ask("targets")["activeTargets"]
        assert (active["health"], active["lastError"]) == ("up", "")
        assert query("min_over_time(up[1m])")[0]["value"][1] == "1"
        cpu = query("starvc_vm_cpu_rate_percent")
        assert {series["metric"]["vm_id"] for series in cpu} == set(vm_ids(product))
        assert {series["metric"]["tenant"] for series in cpu} == {"tenant-demo"}
        assert all(0 <= float(series["value"][1]) <= 100 for series in cpu)
        assert query("sum(rate(starvc_collector_scrapes_total[30s])) > 0")
        assert not query("scrape_samples_scraped != scrape_samples_post_metric_relabeling")
    log = (tmp_path / "prometheus.log").read_text("utf-8")
    assert not re.search(r"level=(error|warn)[^\n]*scrape", log, re.IGNORECASE)
