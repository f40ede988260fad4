from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.clock import VirtualClock
from core.drivers.simulated.faults import Action, Fault
from core.drivers.simulated.fleet import Fleet
from core.drivers.simulated.shared import FILE, SharedFleet, Whereabouts, open_or_forget
from core.errors import Invalid, NotFound

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOSTS, VMS = 3, 12
WHERE = Whereabouts("127.0.0.1", {"host-sim-001": 9100})


def opened(file: Path) -> SharedFleet:
    return SharedFleet(file, VirtualClock(NOW))


def loaded(fleet: Fleet, _at: float) -> set[str]:
    return {fleet.vms[i].id for i, condition in fleet.vm_conditions.items() if condition.loaded}


def load(shared: SharedFleet, vm: str) -> None:
    shared.change(lambda fleet, at: fleet.apply(Fault(Action.LOAD_VM, vm), at))


def vm_ids(shared: SharedFleet) -> list[str]:
    return shared.ask(lambda fleet, _: [vm.id for vm in fleet.vms.values()])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with closing(opened(tmp_path / FILE)) as first:
        first.begin(1, HOSTS, VMS)
    return tmp_path / FILE


@pytest.fixture
def one(file: Path) -> Iterator[SharedFleet]:
    with closing(opened(file)) as shared:
        yield shared


@pytest.fixture
def other(file: Path) -> Iterator[SharedFleet]:
    with closing(opened(file)) as shared:
        yield shared


def test_each_sees_what_the_other_has_done(one: SharedFleet, other: SharedFleet) -> None:
    first, second = vm_ids(one)[:2]
    load(one, first)
    load(other, second)
    assert one.ask(loaded) == other.ask(loaded) == {first, second}
    one.serve(WHERE)
    assert other.whereabouts == WHERE


def test_a_refused_act_is_neither_saved_nor_seen(one: SharedFleet, other: SharedFleet) -> None:
    def half(fleet: Fleet, at: float) -> None:
        fleet.apply(Fault(Action.LOAD_VM, "vm-elsewhere"), at)

    with pytest.raises(Invalid):
        one.change(half)
    assert one.ask(loaded) == other.ask(loaded) == set()


def test_what_could_not_be_saved_is_forgotten(one: SharedFleet, file: Path) -> None:
    vm = vm_ids(one)[0]
    with closing(sqlite3.connect(file)) as breaking:
        breaking.execute("CREATE TRIGGER full BEFORE INSERT ON centre BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
        with pytest.raises(sqlite3.Error, match="disk is full"):
            load(one, vm)
        breaking.execute("DROP TRIGGER full")
    assert one.ask(loaded) == set()
    load(one, vm)
    assert one.ask(loaded) == {vm}


def test_who_waits_too_long_is_told(one: SharedFleet, file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(TimeoutError):
            one.change(lambda *_: None, within=0.05)
        holder.execute("ROLLBACK")
    one.change(lambda *_: None, within=0.05)


def test_it_is_begun_once(one: SharedFleet, other: SharedFleet) -> None:
    load(one, vm_ids(one)[0])
    other.begin(1, HOSTS, VMS)
    assert len(other.ask(loaded)) == 1
    other.begin(2, HOSTS, VMS)
    assert one.ask(lambda fleet, _: fleet.centre.seed) == 2
    assert one.ask(loaded) == set()


def test_nothing_is_in_an_empty_file(tmp_path: Path) -> None:
    with closing(opened(tmp_path / FILE)) as shared, pytest.raises(NotFound):
        shared.ask(loaded)


def test_a_file_of_something_else_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database, but long enough for one" * 100)
    with closing(open_or_forget(tmp_path / FILE, VirtualClock(NOW))) as shared:
        shared.begin(1, HOSTS, VMS)
        assert len(vm_ids(shared)) == VMS


def test_processes_and_threads_lose_nothing_of_each_other(one: SharedFleet, file: Path) -> None:
    vms = vm_ids(one)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        beside = pool.starmap_async(_load_all, [(file, vms[0::3]), (file, vms[1::3])])
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda vm: load(one, vm), vms[2::3]))
        beside.get(60)
    assert one.ask(loaded) == set(vms)


def _load_all(file: Path, vms: list[str]) -> None:
    with closing(opened(file)) as shared:
        for vm in vms:
            load(shared, vm)
