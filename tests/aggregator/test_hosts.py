"""The watch over the hosts on both databases: what it writes, and what happens when two of them watch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from aggregator.hosts import HostWatch, Outside, period
from aggregator.rules.reading import read_inventory
from aggregator.rules.troubles import Trouble, troubled_hosts
from core.compute.rows import Vm, VmLock, VmState
from core.compute.vms import FindVms, search
from core.db.engine import Database
from core.drivers.power import Fencing
from core.hosts.rows import Host, HostEvent, HostReason, HostState, Origin
from core.hosts.state import Probe
from core.metrics import REGISTRY
from core.settings import Settings
from tests.support.hosts import Cloud, Condition
from tests.support.requests import Desk


@pytest.fixture
def cloud(database: Database, tmp_path: Path) -> Iterator[Cloud]:
    cloud = Cloud(database, tmp_path)
    cloud.add_hosts("h1", "h2", "h3", "h4")
    yield cloud
    cloud.close()


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def row(cloud: Cloud, name: str) -> Host:
    with cloud.database.platform() as session:
        return session.get_one(Host, name)


def shown(cloud: Cloud, **find: Any) -> dict[str, VmState]:
    """VMs as their tenant sees them."""
    desk = Desk(cloud.database, Settings())
    return {vm.id: vm.state for vm in desk.tenant("tenant-1", search, FindVms(**find)).rows}


def test_a_crash_is_seen_within_two_intervals_and_a_second(cloud: Cloud) -> None:
    cloud.run(60)
    cloud.conditions["h1"] = Condition.CRASHED
    cloud.run(2 * cloud.interval + 1)
    assert cloud.state("h1") is HostState.FAULT_DETECTING


def test_vms_of_a_suspected_host_are_shown_as_suspected_and_recover_with_it(cloud: Cloud) -> None:
    cloud.add_vm("v1", "h1")
    cloud.add_vm("v2", "h1", state=VmState.STOPPED)
    cloud.add_vm("v3", "h2")
    cloud.run(60)
    cloud.conditions["h1"] = Condition.CUT
    cloud.run(25)
    assert shown(cloud) == {"v1": VmState.FAULT_DETECTING, "v2": VmState.STOPPED, "v3": VmState.RUNNING}
    assert shown(cloud, state=VmState.FAULT_DETECTING).keys() == {"v1"}
    cloud.conditions["h1"] = Condition.UP
    cloud.run(25)
    assert shown(cloud) == {"v1": VmState.RUNNING, "v2": VmState.STOPPED, "v3": VmState.RUNNING}


def test_a_dead_host_gives_its_vms_away_and_keeps_those_that_may_not_move(cloud: Cloud) -> None:
    cloud.add_vm("v1", "h1")
    cloud.add_vm("v2", "h1", ha_enabled=False)
    cloud.add_vm("v3", "h1", state=VmState.SUSPENDED)
    cloud.add_vm("v4", "h1", memory_mb=900_000)
    cloud.add_vm("v5", "h1", locked=VmLock.BACKUP_CREATING)
    cloud.run(60)
    cloud.conditions["h1"] = Condition.CRASHED
    cloud.run(60)
    assert cloud.state("h1") is HostState.STOPPED
    assert cloud.placed.keys() == {"v1"}
    assert shown(cloud) == {
        "v1": VmState.RUNNING, "v2": VmState.STOPPED, "v3": VmState.STOPPED, "v4": VmState.STOPPED,
        "v5": VmState.STOPPED,
    }  # fmt: skip
    with cloud.database.platform() as session:
        left = select(HostEvent.evidence).where(HostEvent.reason == HostReason.VM_NOT_RESTARTED)
        why = {known["vm_id"]: known["why"] for known in session.scalars(left)}
    assert why == {
        "v2": "high availability is not enabled for it",
        "v3": "it was not running: suspended",
        "v4": "no host can take it: "
        + "; ".join(f"{host}: 900000 MB of memory wanted, 65536 left" for host in ("h2", "h3", "h4")),
        "v5": "it is locked: backup_creating",
    }


def test_a_vm_for_which_there_was_no_room_is_restarted_when_there_is(cloud: Cloud) -> None:
    cloud.add_vm("v1", "h1", memory_mb=60_000)
    cloud.run(60)
    with cloud.database.platform(write=True) as session:
        session.execute(update(Host).where(Host.id != "h1").values(memory_mb=30_000))
    cloud.conditions["h1"] = Condition.CRASHED
    cloud.run(60)
    assert cloud.placed == {}
    with cloud.database.platform(write=True) as session:
        session.execute(update(Host).where(Host.id == "h3").values(memory_mb=64_000))
    cloud.run(cloud.policy.detect_for)
    assert cloud.placed == {"v1": "h3"}
    assert cloud.log()[-1].endswith("h1 vm_restarted v1 h3")


def test_a_vm_that_its_new_host_refuses_is_offered_again_until_the_inventory_says_otherwise(cloud: Cloud) -> None:
    cloud.add_vm("v1", "h1")
    offers: list[Mapping[str, str]] = []

    def refuse(homes: Mapping[str, str]) -> Mapping[str, str]:
        offers.append(homes)
        return dict.fromkeys(homes, "no memory")

    cloud.place = refuse  # type: ignore[method-assign]
    cloud.run(60)
    cloud.conditions["h1"] = Condition.CRASHED
    before = metric("starvc_host_vm_restarts_total", result="not_started")
    cloud.run(60)
    assert len(offers) > 2
    assert all(offer == offers[0] and offer.keys() == {"v1"} for offer in offers)
    assert metric("starvc_host_vm_restarts_total", result="not_started") == before + 1
    with cloud.database.platform(write=True) as session:
        session.execute(update(Vm).values(host_id=next(iter({"h2", "h3", "h4"} - set(offers[0].values())))))
    offers.clear()
    cloud.run(5)
    assert not any(offers)


def test_connected_follows_the_last_scrape(cloud: Cloud) -> None:
    cloud.run(12)
    assert row(cloud, "h1").connected
    cloud.conditions["h1"] = Condition.GARBLED
    cloud.run(10)
    assert not row(cloud, "h1").connected
    assert cloud.state("h1") is HostState.RUNNING


def test_a_new_host_is_given_time_before_it_is_missed(cloud: Cloud) -> None:
    cloud.run(60)
    cloud.add_hosts("h5")
    cloud.conditions["h5"] = Condition.DARK
    cloud.run(10)
    assert cloud.state("h5") is HostState.RUNNING
    cloud.run(10)
    assert cloud.state("h5") is HostState.FAULT_DETECTING


def test_a_new_host_that_nobody_scrapes_is_missed_as_well(cloud: Cloud) -> None:
    cloud.run(60)
    cloud.add_hosts("h5")
    ask = cloud.ask
    cloud.ask = lambda pages, timeout: dict.fromkeys(pages, Probe.SILENT) | ask(pages.keys() - {"h5"}, timeout)  # type: ignore[method-assign]
    del cloud.conditions["h5"]
    cloud.controlled = False
    cloud.watches = [cloud.watch("detector-a")]
    cloud.run(2 * cloud.interval)
    assert cloud.state("h5") is HostState.RUNNING
    cloud.run(cloud.interval)
    assert cloud.state("h5") is HostState.FAULT_DETECTING


def test_a_host_that_is_gone_is_forgotten(cloud: Cloud) -> None:
    cloud.run(3)
    assert REGISTRY.get_sample_value("starvc_host_state", {"host_id": "h4"}) == 1
    with cloud.database.platform(write=True) as session:
        session.execute(delete(Host).where(Host.id == "h4"))
    del cloud.conditions["h4"]
    cloud.run(1)
    assert REGISTRY.get_sample_value("starvc_host_state", {"host_id": "h4"}) is None


def test_this_machine_says_nothing_about_our_link(cloud: Cloud) -> None:
    """It answers always; that must not hide that nobody else does."""
    cloud.add_hosts("here", origin=Origin.LOCAL)
    cloud.run(60)
    for name in ("h1", "h2", "h3", "h4"):
        cloud.conditions[name] = Condition.DARK
    cloud.run(30)
    assert [line.split()[1:] for line in cloud.log()] == [["all", "own_link_lost", "!"]]
    assert metric("starvc_host_own_link_lost") == 1


def test_the_brake_is_on_the_metrics(cloud: Cloud) -> None:
    cloud.run(60)
    for name in ("h1", "h2", "h3"):
        cloud.conditions[name] = Condition.CRASHED
    cloud.run(40)
    assert (metric("starvc_host_brake_engaged"), metric("starvc_host_suspects")) == (1, 3)
    assert cloud.fenced == []


def test_of_two_watches_that_decide_at_once_one_is_refused(cloud: Cloud) -> None:
    """The second looks and writes while the first has looked and not yet written."""
    cloud.add_vm("v1", "h1")
    cloud.run(60)
    rival = cloud.watch("detector-b")
    rival.step()
    asked: list[str] = []

    def ask(pages: Mapping[str, Collection[str]], timeout: float) -> dict[str, Probe]:
        asked.extend(pages)
        rival.step()
        return Cloud.ask(cloud, pages, timeout)

    outside = Outside(cloud.database, cloud, cloud.clock, cloud.executor, cloud, ask)  # type: ignore[arg-type]
    cloud.watches = [HostWatch(outside, cloud.policy, "detector-a")]
    cloud.run(1)
    cloud.conditions["h1"] = Condition.CRASHED
    lost = metric("starvc_host_races_lost_total")
    cloud.run(80)
    assert asked
    assert metric("starvc_host_races_lost_total") > lost
    changes = [line.split()[2] for line in cloud.log() if ">" in line]
    assert changes == ["1>-1", "-1>-2", "-2>0"]
    assert len([line for line in cloud.log() if "vm_restarted" in line]) == 1
    assert row(cloud, "h1").fence == 3


class Later(Executor):
    """Keeps what it is given until it is told to run it."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Any, tuple[Any, ...]]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, fn, args))
        return future

    def run(self) -> None:
        for future, fn, args in self.waiting:
            try:
                future.set_result(fn(*args))
            except RuntimeError as problem:
                future.set_exception(problem)
        self.waiting.clear()


def test_an_answer_of_a_fencing_whose_lock_is_gone_is_not_listened_to(cloud: Cloud) -> None:
    cloud.executor = slow = Later()
    cloud.watches = [cloud.watch("detector-a")]
    cloud.add_vm("v1", "h1")
    cloud.run(60)
    cloud.conditions["h1"] = Condition.CRASHED
    cloud.run(40)
    assert cloud.state("h1") is HostState.HA_DETECTING
    cloud.run(cloud.policy.ha_for)
    assert cloud.state("h1") is HostState.FAULT_DETECTING, "the lock ended; the fencing did not"
    slow.run()
    cloud.run(5)
    assert cloud.state("h1") is HostState.FAULT_DETECTING
    assert cloud.placed == {}
    cloud.conditions["h1"] = Condition.UP
    cloud.run(30)
    assert cloud.state("h1") is HostState.RUNNING


def test_a_fencing_that_raises_is_counted_and_tried_again(cloud: Cloud) -> None:
    def raise_first(host_id: str, within: float) -> Fencing:
        cloud.fenced.append(host_id)
        if len(cloud.fenced) == 1:
            raise RuntimeError("the controller hung up")
        return Fencing.FENCED

    cloud.fence = raise_first  # type: ignore[method-assign]
    cloud.executor = slow = Later()
    cloud.watches = [cloud.watch("detector-a")]
    cloud.run(60)
    cloud.conditions["h1"] = Condition.CRASHED
    before = metric("starvc_host_fencings_total", result="error")
    for _ in range(50):
        cloud.run(1)
        slow.run()
    assert metric("starvc_host_fencings_total", result="error") == before + 1
    assert cloud.state("h1") is HostState.STOPPED


def test_vms_that_were_entered_with_another_state_of_their_host_are_set_right_at_the_start(cloud: Cloud) -> None:
    cloud.add_vm("v1", "h1", host_state=HostState.HA_DETECTING)
    cloud.run(1)
    assert shown(cloud) == {"v1": VmState.RUNNING}


def test_a_step_in_which_nothing_changes_writes_nothing(cloud: Cloud) -> None:
    cloud.run(30)
    with cloud.database.platform(write=True):
        cloud.clock.advance(1)
        if cloud.database.url.get_backend_name() == "sqlite":
            cloud.watches[0].step()  # a write transaction would wait for this one, and fail
    with cloud.database.platform() as session:
        assert session.scalar(select(func.count()).select_from(HostEvent)) == 0


def test_steps_are_frequent_and_never_rarer_than_once_a_second() -> None:
    assert (period(10.0), period(1.0), period(0.2)) == (1.0, 0.5, 0.1)


def test_alarms_see_the_suspicion_and_go_on_to_expect_the_vms_of_a_dead_host(cloud: Cloud) -> None:
    cloud.add_vm("v1", "h1", ha_enabled=False)

    def judged() -> list[int]:
        with cloud.database.platform() as session:
            return list(read_inventory(session).vm_states)

    cloud.run(60)
    cloud.conditions["h1"] = Condition.CRASHED
    cloud.run(25)
    assert judged() == [VmState.FAULT_DETECTING]
    cloud.run(30)
    assert cloud.state("h1") is HostState.STOPPED
    assert (judged(), shown(cloud)) == ([VmState.RUNNING], {"v1": VmState.STOPPED})


def troubles(cloud: Cloud) -> dict[Trouble, set[str]]:
    with cloud.database.platform() as session:
        return {trouble: set(hosts) for trouble, hosts in troubled_hosts(session).items() if hosts}


def test_a_host_that_cannot_be_fenced_is_a_trouble_until_it_answers(cloud: Cloud) -> None:
    cloud.fences = False
    cloud.run(60)
    cloud.conditions["h1"] = Condition.CRASHED
    cloud.run(60)
    assert troubles(cloud) == {}
    cloud.run(60)
    assert troubles(cloud) == {Trouble.FENCING_FAILED: {"h1"}}
    cloud.conditions["h1"] = Condition.UP
    cloud.run(30)
    assert troubles(cloud) == {}


def test_vms_without_room_elsewhere_are_a_trouble_of_their_host_unless_somebody_looks_after_it(cloud: Cloud) -> None:
    cloud.add_vm("v1", "h1", memory_mb=900_000)
    cloud.add_vm("v2", "h2")
    cloud.run(60)
    cloud.conditions["h1"] = cloud.conditions["h2"] = Condition.CRASHED
    cloud.run(60)
    assert cloud.placed.keys() == {"v2"}
    assert troubles(cloud) == {Trouble.VMS_STRANDED: {"h1"}}
    with cloud.database.platform(write=True) as session:
        session.execute(update(Host).where(Host.id == "h1").values(maintenance=True))
    assert troubles(cloud) == {}


def test_the_watch_says_when_it_sees_nobody_and_when_it_brakes(cloud: Cloud) -> None:
    cloud.run(60)
    (watch,) = cloud.watches
    assert not watch.blind
    assert not watch.braked
    for name in ("h1", "h2", "h3"):
        cloud.conditions[name] = Condition.CRASHED
    cloud.run(30)
    assert watch.braked
    cloud.link = False
    cloud.run(30)
    assert watch.blind


def test_a_clock_that_was_set_back_by_an_hour_hides_no_death(cloud: Cloud) -> None:
    cloud.run(60)
    cloud.clock.jump(-3600)
    cloud.run(60)
    assert {cloud.state(name) for name in cloud.conditions} == {HostState.RUNNING}
    cloud.conditions["h1"] = Condition.CRASHED
    cloud.run(60)
    assert cloud.state("h1") is HostState.STOPPED
    assert {cloud.state(name) for name in ("h2", "h3", "h4")} == {HostState.RUNNING}
