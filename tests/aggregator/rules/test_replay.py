"""Rules over stored history."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np

from aggregator.rules.inventory import HostItem, HostNow, Inventory
from aggregator.rules.load import load_files, shipped_files
from aggregator.rules.replay import MINUTE, replay
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.fields import COLUMN, FIELDS, Kind
from core.timeseries.store import Level, Lines

START = 1_767_225_600.0


def stored(folder: Path, cpu: list[float]) -> EmbeddedStore:
    """One minute line per value."""
    store = EmbeddedStore(folder)
    lines = []
    for number, value in enumerate(cpu):
        values = np.full((1, len(FIELDS[Kind.HOST])), np.nan)
        values[0, COLUMN[Kind.HOST]["cpu_rate"]] = value
        count = np.where(np.isnan(values), 0, 6)
        lines.append(Lines(Kind.HOST, START + MINUTE * number, ("h1",), values, values, values, count, 6, final=True))
    store.write_lines(Level.MINUTE, lines)
    return store


def test_it_counts_what_would_have_fired(tmp_path: Path) -> None:
    cpu = ([90.0] * 12 + [20.0] * 8) * 3 + [90.0] * 12
    inventory = Inventory([HostItem("h1", "h1")], [HostNow(1)])
    progress: list[float] = []
    with closing(stored(tmp_path, cpu)) as store:
        book = load_files(shipped_files(), MINUTE)
        tallies = {
            tally.rule_id: tally
            for tally in replay(book, store, inventory, START, START + len(cpu) * MINUTE, progress.append)
        }
    assert tallies["host-cpu"].raised == 4
    assert tallies["host-cpu"].open_at_end == 1
    assert tallies["host-cpu"].objects == {"h1": 4}
    assert {name for name, tally in tallies.items() if tally.raised} == {"host-cpu", "host-cpu-jump"}
    assert progress == sorted(progress)
    assert progress[-1] == 1.0


def test_an_alarm_that_comes_and_goes_is_counted_as_flapping(tmp_path: Path) -> None:
    text = (
        "version: 1\nrules:\n  - id: nervous\n    kind: host\n    category: c\n"
        "    message: {zh: a, en: b}\n    runbook: r\n"
        '    when: {threshold: {field: cpu_rate}}\n    severity: low\n    raise: {op: ">", value: 50}\n'
    )
    rules = tmp_path / "rules.yaml"
    rules.write_text(text, "utf-8")
    inventory = Inventory([HostItem("h1", "h1")], [HostNow(1)])
    with closing(stored(tmp_path / "series", [90.0, 20.0] * 15)) as store:
        (tally,) = replay(load_files([rules], MINUTE), store, inventory, START, START + 30 * MINUTE)
    assert tally.raised >= 3
    assert tally.flaps == 1


def test_a_time_in_which_nothing_at_all_was_measured_is_no_evidence(tmp_path: Path) -> None:
    text = (
        "version: 1\nrules:\n  - id: silent\n    kind: host\n    category: c\n    message: {zh: a, en: b}\n"
        "    runbook: r\n    when: {no_data: {for: 5m}}\n    severity: low\n"
    )
    rules = tmp_path / "rules.yaml"
    rules.write_text(text, "utf-8")
    inventory = Inventory([HostItem("h1", "h1"), HostItem("h2", "h2")], [HostNow(1)] * 2)
    with closing(stored(tmp_path / "series", [20.0] * 10)) as store:
        book = load_files([rules], MINUTE)
        (tally,) = replay(book, store, inventory, START - 30 * MINUTE, START + 10 * MINUTE)
    assert tally.objects == {"h2": 1}
