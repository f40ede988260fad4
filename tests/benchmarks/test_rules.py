"""Evaluation of rules over a big cloud: 20 rules on 10,000 VMs, one core."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from aggregator.rules.evaluate import evaluate
from aggregator.rules.explain import Memory
from aggregator.rules.inventory import HostItem, HostNow, Inventory, VmItem
from aggregator.rules.language import RuleBook
from aggregator.rules.load import load_files, shipped_files
from aggregator.rules.observer import Observer
from aggregator.rules.scripted import ScriptedStore
from core.timeseries.fields import COLUMN, FIELDS, Kind
from core.timeseries.store import Frame, Level, Lines

VMS = 10_000
HOSTS = 500
NOW = 1_767_225_600.0


class Arrays(ScriptedStore):
    """Frames and lines that are there already: the store's own cost is measured elsewhere."""

    def __init__(self, frames: dict[Kind, Frame], lines: dict[Kind, Lines]) -> None:
        super().__init__({}, 10.0)
        self.frames, self.lines = frames, lines

    def latest(self, kind, since, objects=None):
        return self.frames[kind]

    def read_lines(self, level, kind, start, end, objects=None):
        first = 60 * np.ceil(start / 60)
        if level is Level.HOUR or kind not in self.lines:
            return []
        return [replace(self.lines[kind], start=float(begin)) for begin in np.arange(first, end, 60.0)]


def cloud(raising: int = 100, seed: int = 7) -> tuple[Inventory, Arrays]:
    random = np.random.default_rng(seed)
    hosts = [f"host-{n:04}" for n in range(HOSTS)]
    vms = [f"vm-{n:05}" for n in range(VMS)]
    inventory = Inventory(
        [HostItem(name, name) for name in hosts], [HostNow(1)] * HOSTS,
        [VmItem(name, name, f"t{n % 50}", hosts[n % HOSTS]) for n, name in enumerate(vms)], [1] * VMS,
        targets=[f"{host}/node" for host in hosts],
    )  # fmt: skip
    frames, lines = {}, {}
    names = {Kind.HOST: hosts, Kind.VM: vms, Kind.TARGET: list(inventory.targets), Kind.DISK: [], Kind.NIC: []}
    for kind, objects in names.items():
        values = random.uniform(10, 80, (len(objects), len(FIELDS[kind])))
        if kind is Kind.VM:
            values[:, COLUMN[kind]["disk_size"]] = values[:, COLUMN[kind]["mem_size"]] = 200
            values[:raising, COLUMN[kind]["cpu_rate"]] = 99
        if kind is Kind.TARGET:
            values[:, COLUMN[kind]["up"]] = 1
        frames[kind] = Frame(kind, objects, np.full(len(objects), NOW), values)
        count = np.full(values.shape, 6)
        lines[kind] = Lines(kind, 0.0, objects, values, values, values, count, 6, final=True)
    return inventory, Arrays(frames, lines)


@pytest.mark.benchmark
@pytest.mark.parametrize("raising", [100, VMS], ids=["calm", "storm"])
def test_twenty_rules_on_ten_thousand_vms(raising: int) -> None:
    rules = [rule for rule in load_files(shipped_files(), 10.0).rules if rule.kind is Kind.VM]
    rules = [replace(rule, id=f"{rule.id}-{n}") for n in range(2) for rule in rules][:20]
    book, memory = RuleBook(tuple(rules), 10.0), Memory()
    inventory, store = cloud(raising)
    observer = Observer(book, NOW - 3600)
    stages: dict[str, list[float]] = {"look": [], "judge": [], "remember": []}
    found = 0
    for step in range(7):
        began = time.perf_counter()
        view = observer.look(store, inventory, NOW + 5 * step)
        looked = time.perf_counter()
        evaluated = evaluate(book, observer.limits(view.census), view, {(rules[0].id, "vm-00001")})
        judged = time.perf_counter()
        memory.remember(evaluated, dict(observer.limits(view.census)))
        done = time.perf_counter()
        found = sum(len(outcome.findings) for outcome in evaluated.outcomes)
        for stage, seconds in (("look", looked - began), ("judge", judged - looked), ("remember", done - judged)):
            stages[stage].append(seconds)
    assert found >= raising
    first = sum(times[0] for times in stages.values())
    print(f"\n20 rules x {VMS} VMs: first evaluation (reads 6 h of lines) {first:.2f} s; then, median of 6:")
    for stage, times in stages.items():
        print(f"  {stage:9} {1000 * np.median(times[1:]):7.1f} ms")
    total = sum(float(np.median(times[1:])) for times in stages.values())
    print(
        f"  total     {1000 * total:7.1f} ms = {20 * VMS / total / 1e6:.1f} million rule x object/s, {found} findings"
    )
    print(f"  explain   {memory.size() / 1e6:.1f} MB for {len(stages['look'])} evaluations")


@pytest.mark.benchmark
def test_naive_evaluation_for_comparison() -> None:
    """The same threshold object by object, as an interpreter of rules would do it."""
    _, store = cloud()
    values = store.frames[Kind.VM].values[:, 0].tolist()
    began = time.perf_counter()
    raised = sum(1 for _ in range(20) for value in values if value > 90)
    seconds = time.perf_counter() - began
    assert raised == 2000
    print(f"\nbare comparison of 20 x {VMS} values in a Python loop: {1000 * seconds:.1f} ms")
