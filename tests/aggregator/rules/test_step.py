"""The shell: from samples in the real store to alarms in the real database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from aggregator.rules import metrics
from aggregator.rules.reading import read_inventory
from aggregator.rules.source import RulesInvalid
from aggregator.rules.step import Outcome, Rules, Surroundings
from core.alarms.engine import Fenced
from core.alarms.machine import Change
from core.alarms.rows import Alarm, AlarmState, ReliefWay
from core.clock import VirtualClock
from core.compute.rows import Nic, Vm, VmState
from core.db.engine import Database
from core.hosts.rows import Host, HostState
from core.tenancy.rows import Tenant
from core.timeseries.embedded.store import EmbeddedStore
from core.timeseries.fields import COLUMN, FIELDS, Kind
from core.timeseries.store import Frame, StoreUnavailable
from tests.support.state import on_one_kind

INTERVAL = 10.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    with closing(EmbeddedStore(tmp_path / "series")) as store:
        yield store


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def around(database: Database, store: EmbeddedStore, clock: VirtualClock) -> Surroundings:
    with database.platform(write=True) as session:
        session.add(
            Host(
                id="host-1", name="node one", created_at=clock.now(), state_since=clock.now(), address="10.0.0.1",
                exporter_url="http://10.0.0.1:9100/metrics",
            )
        )  # fmt: skip
    return Surroundings(database, store, clock)


def scrape(around: Surroundings, *, cpu: float | None, up: bool = True) -> None:
    """One scrape of the host at the clock's time, as the collector writes it."""
    now = np.array([around.clock.now().timestamp()])
    target = np.full((1, len(FIELDS[Kind.TARGET])), np.nan)
    target[0, COLUMN[Kind.TARGET]["up"]] = up
    frames = [Frame(Kind.TARGET, ("host-1/node",), now, target)]
    if cpu is not None:
        values = np.full((1, len(FIELDS[Kind.HOST])), np.nan)
        values[0, COLUMN[Kind.HOST]["cpu_rate"]] = cpu
        frames.append(Frame(Kind.HOST, ("host-1",), now, values))
    around.store.write(frames)


def live(rules: Rules, around: Surroundings, clock: VirtualClock, scrapes: int, **sample: object) -> list[str]:
    """That many scrape intervals with their evaluations; what happened."""
    changes = []
    for _ in range(scrapes):
        scrape(around, **sample)  # type: ignore[arg-type]
        for _ in range(round(INTERVAL / rules.period)):
            changes += [f"{h.rule_id} {h.transition.change}" for h in rules.step().happened]
            clock.advance(rules.period)
    return changes


def test_scrapes_that_fail_for_long_are_an_alarm_though_nobody_watches_the_state(around, clock, database) -> None:
    rules = Rules(around, INTERVAL)
    assert live(rules, around, clock, 6, cpu=20.0) == []
    crashed = clock.now()
    assert live(rules, around, clock, 9, cpu=None, up=False) == ["target-down raised", "host-unreachable raised"]
    with database.platform() as session:
        alarm = session.scalars(select(Alarm).where(Alarm.rule_id == "host-unreachable")).one()
    assert alarm.object_name == "node one"
    assert alarm.host_id == "host-1"
    assert alarm.created_at - crashed <= timedelta(seconds=9 * INTERVAL)
    assert live(rules, around, clock, 6, cpu=20.0) == ["host-unreachable relieved", "target-down relieved"]
    with database.platform() as session:
        assert set(session.scalars(select(Alarm.relieve_way))) == {ReliefWay.AUTO}


@on_one_kind
def test_the_state_of_the_host_raises_without_any_scrape(around, clock, database) -> None:
    rules = Rules(around, INTERVAL)
    live(rules, around, clock, 2, cpu=20.0)
    with database.platform(write=True) as session:
        session.get_one(Host, "host-1").state = HostState.FAULT_DETECTING
    assert [h.transition.change for h in rules.step().happened] == [Change.RAISED]


def test_the_inventory_knows_owners_devices_and_suspected_vms(around, clock, database) -> None:
    with database.platform(write=True) as session:
        session.add(Tenant(id="t1", name="tenant", created_at=clock.now()))
        session.flush()
        session.add(
            Vm(
                id="vm-1", tenant_id="t1", host_id="host-1", name="web", created_at=clock.now(), vcpus=1, memory_mb=1,
                domain_uuid="u", host_state=HostState.FAULT_DETECTING,
            )
        )  # fmt: skip
        session.flush()
        session.add(
            Nic(
                id="nic-1", tenant_id="t1", vm_id="vm-1", created_at=clock.now(), device="tap0", mac="02:00:00:00:00:01"
            )
        )
    with database.platform() as session:
        inventory = read_inventory(session)
    assert inventory.vms[0][:4] == ("vm-1", "web", "t1", "host-1")
    assert inventory.vm_states == [VmState.FAULT_DETECTING]
    assert inventory.nics == ["vm-1/tap0"]
    assert inventory.targets == ["host-1/node"]


@on_one_kind
def test_states_survive_a_restart_of_the_evaluator(around, clock) -> None:
    assert live(Rules(around, INTERVAL), around, clock, 20, cpu=90.0) == []
    after = live(Rules(around, INTERVAL), around, clock, 20, cpu=90.0)
    assert after == ["host-cpu raised"]


@on_one_kind
def test_downtime_is_not_evidence(around, clock, database) -> None:
    live(Rules(around, INTERVAL), around, clock, 20, cpu=90.0)
    clock.advance(600)
    rules = Rules(around, INTERVAL)
    assert live(rules, around, clock, 5, cpu=90.0) == []
    assert "host-cpu raised" in live(rules, around, clock, 20, cpu=90.0)


@on_one_kind
def test_ten_minutes_without_the_store_raise_what_says_so_and_change_nothing_else(around, clock, monkeypatch) -> None:
    rules = Rules(around, INTERVAL)
    assert live(rules, around, clock, 40, cpu=90.0) == ["host-cpu raised"]

    def refuse(*_: object) -> None:
        raise StoreUnavailable("down")

    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedStore, "latest", refuse)
        outcomes, happened = [], []
        for _ in range(120):
            stepped = rules.step()
            outcomes.append(stepped.outcome)
            happened += [f"{h.rule_id} {h.object_id} {h.transition.change}" for h in stepped.happened]
            clock.advance(rules.period)
    assert set(outcomes) == {Outcome.DEGRADED}
    assert happened == ["store-unavailable platform raised"]
    assert live(rules, around, clock, 20, cpu=20.0) == ["store-unavailable relieved", "host-cpu relieved"]


@on_one_kind
def test_a_clock_that_is_set_makes_one_step_pause_and_raises_nothing(around, clock) -> None:
    rules = Rules(around, INTERVAL)
    live(rules, around, clock, 5, cpu=20.0)
    clock.jump(3600)
    assert rules.step().outcome is Outcome.CLOCK_JUMP
    clock.advance(1)
    assert live(rules, around, clock, 5, cpu=20.0) == []


@on_one_kind
def test_a_slot_is_evaluated_once_and_missed_slots_are_counted(around, clock) -> None:
    rules = Rules(around, INTERVAL)
    rules.step()
    assert rules.step().outcome is Outcome.SKIPPED
    before = metrics.MISSED._value.get()
    clock.advance(rules.period * 4)
    assert rules.step().outcome is Outcome.COMPLETE
    assert metrics.MISSED._value.get() - before == 3


@on_one_kind
def test_a_reload_keeps_states_and_ends_the_alarms_of_rules_that_are_gone(around, clock, tmp_path, database) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(RULES.format(limit=80, id="busy"), "utf-8")
    rules = Rules(around, INTERVAL, file)
    live(rules, around, clock, 2, cpu=90.0)
    file.write_text(RULES.format(limit=85, id="busy"), "utf-8")
    rules.reload()
    assert live(rules, around, clock, 3, cpu=90.0) == ["busy raised"]
    file.write_text(RULES.format(limit=85, id="other"), "utf-8")
    rules.reload()
    assert live(rules, around, clock, 1, cpu=90.0) == ["busy rule_gone"]
    with database.platform() as session:
        assert set(session.scalars(select(AlarmState.rule_id))) == {"other"}


@on_one_kind
def test_rules_that_cannot_be_used_leave_those_in_force(around, clock, tmp_path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(RULES.format(limit=80, id="busy"), "utf-8")
    rules = Rules(around, INTERVAL, file)
    file.write_text("rules: [", "utf-8")
    with pytest.raises(RulesInvalid, match=r"rules\.yaml:1"):
        rules.reload()
    assert rules.step().outcome is Outcome.COMPLETE
    assert [rule.id for rule in rules.book.rules] == ["busy"]


@on_one_kind
def test_a_changed_file_is_read_without_being_told(around, clock, tmp_path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(RULES.format(limit=80, id="busy"), "utf-8")
    rules = Rules(around, INTERVAL, file)
    file.write_text(RULES.format(limit=80, id="other") + "# more\n", "utf-8")
    rules.step()
    assert [rule.id for rule in rules.book.rules] == ["other"]


@on_one_kind
def test_explain_tells_the_last_evaluations(around, clock) -> None:
    rules = Rules(around, INTERVAL)
    live(rules, around, clock, 10, cpu=90.0)
    newest = rules.memory.explain("host-cpu", "host-1")[0]
    assert newest.value == pytest.approx(90.0)
    assert newest.why == "cpu_rate is 90%: > 85%"
    assert [f"{severity.name} {verdict}" for severity, verdict in newest.verdicts] == ["MEDIUM raise", "HIGH clear"]
    assert len(rules.memory.explain("host-cpu", "host-1")) == 12


@on_one_kind
def test_completeness_says_how_many_are_seen(around, clock, database) -> None:
    rules = Rules(around, INTERVAL)
    live(rules, around, clock, 1, cpu=20.0)
    assert metrics.COMPLETENESS.labels("host")._value.get() == 1.0
    clock.advance(60)
    rules.step()
    assert metrics.COMPLETENESS.labels("host")._value.get() == 0.0
    assert metrics.LAST._value.get() == pytest.approx(clock.now().timestamp(), abs=rules.period)


@on_one_kind
def test_an_evaluator_whose_lease_was_passed_on_settles_nothing(around, clock) -> None:
    live(Rules(replace(around, fence=2), INTERVAL), around, clock, 4, cpu=90.0)
    with pytest.raises(Fenced):
        Rules(replace(around, fence=1), INTERVAL).step()


RULES = """
version: 1
rules:
  - id: {id}
    kind: host
    category: cpu
    when: {{threshold: {{field: cpu_rate}}}}
    severity: low
    raise: {{op: ">", value: {limit}, for: 30s}}
    message: {{zh: a, en: b}}
    runbook: c
"""
