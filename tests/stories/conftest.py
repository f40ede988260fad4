"""Running products for stories: one that nobody breaks, and one for faults and alarms. Each is started once per test
process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
import yaml

from aggregator.rules.load import shipped_files
from tests.support.product import Product, host_ids, measured, vm_ids

FAULTY_INTERVAL: Final = 2.0
_OWN_RULES: Final = """
- id: vm-cpu-now
  kind: vm
  category: cpu
  when: {threshold: {field: cpu_rate}}
  severity: medium
  raise: {op: ">", value: 95, for: 2 scrapes}
  clear: {value: 94}
  message: {zh: "虚拟机 {object} CPU {value}{unit}", en: "VM {object} uses {value}{unit} CPU"}
  runbook: Nothing.
- id: vm-cpu-once
  kind: vm
  category: cpu
  when: {threshold: {field: cpu_rate}}
  severity: low
  raise: {op: ">", value: 95}
  clear: {value: 94}
  relief: manual
  message: {zh: "虚拟机 {object} 曾经繁忙", en: "VM {object} has been busy"}
  runbook: Relieve it by hand.
"""


def rule_file() -> dict[str, Any]:
    """The shipped rule of unreachable hosts as it is, and two of the test's own."""
    shipped = [rule for file in shipped_files() for rule in yaml.safe_load(file.read_text("utf-8"))["rules"]]
    unreachable = [rule for rule in shipped if rule["id"] == "host-unreachable"]
    return {"version": 1, "rules": [*unreachable, *yaml.safe_load(_OWN_RULES)]}


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A healthy product that measures everything once a second. Tests leave it as they found it."""
    with Product(tmp_path_factory.mktemp("product")) as running:
        measured(running)
        yield running
        assert not running.errors()


@dataclass(frozen=True)
class Faulty:
    """A product in which some things broke at `since` (epoch seconds), all at once: `hung` is a host whose page never
    comes, `busy` and `once_busy` are VMs under load, `restarted` is a VM. `healthy` is a host without a fault.
    """

    product: Product
    since: float
    healthy: str
    hung: str
    busy: str
    once_busy: str
    restarted: str


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    """Has rules that act at once. Every story heals what it has looked at."""
    folder = tmp_path_factory.mktemp("faulty")
    rules = folder / "rules.yaml"
    rules.write_text(yaml.safe_dump(rule_file(), allow_unicode=True), "utf-8")
    settings = {"scrape_interval": FAULTY_INTERVAL, "sim_hosts": 4, "sim_vms": 12, "rules_file": rules}
    with Product(folder, **settings) as running:
        measured(running)
        healthy, hung, *others = [host for host in host_ids(running) if host.startswith("host-sim")]
        once_busy, busy, restarted = [vm for host in others for vm in vm_ids(running, **{"vm.hostid": host})][:3]
        since = time.time()
        for action, target in (
            ("hang-exporter", hung), ("load-vm", busy), ("load-vm", once_busy), ("restart-vm", restarted),
        ):  # fmt: skip
            running.inject(action, target)
        yield Faulty(running, since, healthy, hung, busy, once_busy, restarted)
        assert not running.errors()
