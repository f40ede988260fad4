"""From the death of a host to the person who is told, beside a real Prometheus and Alertmanager on the same pages.

Both scrape the simulated hosts of a process of its own at the same interval. The peer has its usual settings: rules
every 15 s, `up == 0` for 1m, group_wait 30 s; each host is a group, so that no alert waits for another's group.
STARVC_DETECTION_CRASHES (3) says how many hosts crash, at different moments of the slots; STARVC_DETECTION_INTERVAL
(10) is the scrape interval in seconds.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import httpx
import pytest

from tests.support.product import Product, host_ids, measured, rows
from tests.support.real import answers, binary, eventually, free_port, server
from tests.support.simulation import simulation
from tests.support.webhook import Receiver, receiver

CRASHES = int(os.environ.get("STARVC_DETECTION_CRASHES", "3"))
INTERVAL = int(os.environ.get("STARVC_DETECTION_INTERVAL", "10"))
HOSTS, VMS = 20, 40
APART = 3.7
"""Seconds between two crashes: no divisor of the intervals, so that each falls into another phase."""
LONGEST = 60 + 15 + 30 + 5 * INTERVAL
STEPS = ("ours seen", "ours told", "theirs seen", "theirs told")


@contextmanager
def alertmanager(folder: Path, hook: str) -> Iterator[str]:
    route = {"receiver": "hook", "group_by": ["alertname", "host_id"], "group_wait": "30s", "group_interval": "5m"}
    config = folder / "alertmanager.json"
    config.write_text(json.dumps({"route": route, "receivers": [{"name": "hook", "webhook_configs": [{"url": hook}]}]}))
    url = f"http://127.0.0.1:{free_port()}"
    command = [binary("prometheus-alertmanager"), f"--config.file={config}", f"--storage.path={folder / 'am'}"]
    command += ["--cluster.listen-address=", f"--web.listen-address={url.removeprefix('http://')}"]
    with server(command, lambda: answers(f"{url}/-/ready"), folder / "alertmanager.log"):
        yield url


@contextmanager
def prometheus(folder: Path, targets: Path, manager: str) -> Iterator[str]:
    rules = folder / "rules.json"
    down = {"alert": "InstanceDown", "expr": "up == 0", "for": "1m"}
    rules.write_text(json.dumps({"groups": [{"name": "hosts", "rules": [down]}]}))
    config = folder / "prometheus.json"
    intervals = {"scrape_interval": f"{INTERVAL}s", "scrape_timeout": "5s", "evaluation_interval": "15s"}
    managers = [{"static_configs": [{"targets": [manager.removeprefix("http://")]}]}]
    scrapes = [{"job_name": "sim", "file_sd_configs": [{"files": [str(targets)]}]}]
    config.write_text(
        json.dumps(
            {
                "global": intervals,
                "rule_files": [str(rules)],
                "alerting": {"alertmanagers": managers},
                "scrape_configs": scrapes,
            }
        )
    )
    url = f"http://127.0.0.1:{free_port()}"
    command = [binary("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    command += [f"--web.listen-address={url.removeprefix('http://')}"]
    with server(command, lambda: answers(f"{url}/-/ready"), folder / "prometheus.log", seconds=60):
        yield url


@dataclass
class Watcher:
    """What each side shows and tells of unreachable hosts."""

    product: Product
    prometheus: str
    hook: Receiver
    seen: dict[str, dict[str, float]] = field(default_factory=dict)
    """Monotonic seconds at which a step was first observed, by host."""

    def look(self) -> None:
        found = {
            "ours seen": self._ours_seen(),
            "ours told": {body["object_id"] for body in self._bodies("/ours") if body["rule_id"] == "host-unreachable"},
            "theirs seen": self._theirs_seen(),
            "theirs told": {alert["labels"]["host_id"] for body in self._bodies("/theirs") for alert in body["alerts"]},
        }
        now = time.monotonic()
        for step, hosts in found.items():
            for host in hosts:
                self.seen.setdefault(host, {}).setdefault(step, now)

    def complete(self, hosts: int) -> bool:
        self.look()
        return sum(steps.keys() == set(STEPS) for steps in self.seen.values()) == hosts

    def _ours_seen(self) -> set[str]:
        wanted = {"isfindPage": True, "alarm.obj.type": "host", "alarm.level": "high"}
        found = rows(self.product.platform("cloudalarm/search", wanted))
        return {str(alarm["alarm.objid"]) for alarm in found if alarm["alarm.type"] == "host-state"}

    def _theirs_seen(self) -> set[str]:
        alerts = httpx.get(f"{self.prometheus}/api/v1/alerts", timeout=10, trust_env=False).json()["data"]["alerts"]
        return {str(alert["labels"]["host_id"]) for alert in alerts if alert["state"] == "firing"}

    def _bodies(self, path: str) -> list[Mapping[str, list[Mapping[str, Mapping[str, str]]]]]:
        return [body for where, _, body in list(self.hook.requests) if where == path]


def ready(product: Product, url: str) -> bool:
    targets = httpx.get(f"{url}/api/v1/targets", timeout=10, trust_env=False).json()["data"]["activeTargets"]
    return len(targets) == 2 * HOSTS and all(target["health"] == "up" for target in targets)


@pytest.mark.benchmark
@pytest.mark.timeout(600)
def test_a_dead_host_is_seen_and_told_beside_prometheus_and_alertmanager(tmp_path: Path) -> None:
    with receiver() as hook:
        notify = tmp_path / "notify.yaml"
        notify.write_text(
            f"receivers: [{{name: desk, webhook: '{hook.url}/ours'}}]\nroutes: [{{receivers: [desk]}}]", "utf-8"
        )
        settings = {"sim_hosts": 0, "agent": "false", "scrape_interval": INTERVAL, "notify_file": notify}
        product = Product(tmp_path, **settings)
        with (
            simulation(product.data, HOSTS, VMS) as simulated,
            alertmanager(tmp_path, f"{hook.url}/theirs") as manager,
            prometheus(tmp_path, simulated.targets, manager) as peer,
            product,
        ):
            measured(product, 6 * INTERVAL)
            eventually(lambda: ready(product, peer), 6 * INTERVAL)
            watcher = Watcher(product, peer, hook)
            watcher.look()
            assert watcher.seen == {}, "a healthy host is alarmed"
            crashed: dict[str, float] = {}
            for host in host_ids(product)[:CRASHES]:
                if crashed:
                    _watch_for(watcher, APART)
                simulated.inject("crash-host", host)
                crashed[host] = time.monotonic()
            eventually(lambda: watcher.complete(CRASHES), LONGEST, 0.1)
        assert not product.errors()
    took = {host: {step: at - crashed[host] for step, at in steps.items()} for host, steps in watcher.seen.items()}
    assert took.keys() == crashed.keys(), "a healthy host is alarmed"
    _print(took)


def _watch_for(watcher: Watcher, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        watcher.look()
        time.sleep(0.1)


def _print(took: Mapping[str, Mapping[str, float]]) -> None:
    print(f"\n{HOSTS} hosts, scraped every {INTERVAL} s; seconds after the crash")
    print(f"{'':>14}" + "".join(f"{step:>14}" for step in STEPS))
    for host, steps in took.items():
        print(f"{host:>14}" + "".join(f"{steps[step]:14.1f}" for step in STEPS))
    means = {step: mean(steps[step] for steps in took.values()) for step in STEPS}
    print(f"{'mean':>14}" + "".join(f"{means[step]:14.1f}" for step in STEPS))
    for deed in ("seen", "told"):
        ratio = means[f"theirs {deed}"] / means[f"ours {deed}"]
        print(f"{deed}: {ratio:.1f} times as fast as Prometheus and Alertmanager")
