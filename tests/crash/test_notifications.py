"""The whole product against kill -9 while alarms come and go: every change is told, and a receiver that honours the
idempotency key is told nothing twice.

STARVC_KILLS sets the number of rounds. The receiver outlives all of them.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select, select, update

from aggregator.notify.sender import Sender
from aggregator.notify.webhook import Webhook
from core.alarms.rows import Alarm, AlarmTransition, Outbox
from core.clock import SystemClock
from tests.support.product import Product, vm_ids
from tests.support.real import eventually
from tests.support.state import database_of
from tests.support.webhook import Receiver, receiver

ROUNDS = int(os.environ.get("STARVC_KILLS", "4"))
RULES = """
version: 1
rules:
- {id: cpu-some, kind: vm, category: cpu, when: {threshold: {field: cpu_rate}}, flapping: {half_life: 2s}, levels: [
     {severity: low, raise: {op: ">", value: 50}, clear: {value: 49}},
     {severity: high, raise: {op: ">", value: 90}, clear: {value: 89}}],
   message: {zh: "{object}", en: "{object}"}, runbook: Nothing.}
- {id: load, kind: vm, category: cpu, when: {threshold: {field: cpu_rate}}, flapping: {half_life: 2s}, severity: medium,
   raise: {op: ">", value: 70}, clear: {value: 69}, message: {zh: "{object}", en: "{object}"}, runbook: Nothing.}
"""
ROUTES = "receivers: [{{name: desk, webhook: '{url}'}}]\nroutes: [{{receivers: [desk], on: {changes}}}]\n"
CHANGES = ["raised", "rose", "fell", "returned", "recurred", "flapping", "steady", "relieved"]
CLOSED = {"relieved"}


@pytest.mark.timeout(120 + 30 * ROUNDS)
def test_killed_while_alarms_come_and_go_every_change_is_told_and_none_twice(tmp_path: Path) -> None:
    chance = random.Random(13)
    (tmp_path / "rules.yaml").write_text(RULES, "utf-8")
    with receiver() as desk:
        (tmp_path / "notify.yaml").write_text(ROUTES.format(url=desk.url, changes=CHANGES), "utf-8")
        files = {"rules_file": tmp_path / "rules.yaml", "notify_file": tmp_path / "notify.yaml"}
        product = Product(tmp_path, scrape_interval=0.5, sim_vms=12, **files)
        known: dict[str, list[Any]] = {}
        try:
            for _ in range(ROUNDS):
                product.start()
                _load(product, chance, seconds=chance.uniform(0.2, 2.5))
                product.kill()
                known = _kept(known, _transitions(product))
            _free_the_claimed(product)
            product.start()
            backlog = _waiting(product)
            eventually(lambda: not backlog & _waiting(product), 60, 0.2)
        finally:
            product.stop()
        _deliver_the_rest(product, desk)
        known = _kept(known, _transitions(product))
        assert not product.errors()
        letters = _rows(product, select(Outbox.key).order_by(Outbox.id))
        _all_told_once(letters, desk)
        _told_what_is_true(product, desk)
    transitions = sum(map(len, known.values()))
    print(f"\n{ROUNDS} kills: {transitions} transitions of {len(known)} alarms, {len(letters)} letters, ", end="")
    print(f"{len(desk.requests)} deliveries, {len(desk.requests) - len(set(desk.keys))} dropped by their key")
    assert transitions > ROUNDS


def _load(product: Product, chance: random.Random, seconds: float) -> None:
    """Faults toggled until it is time."""
    vms, end = vm_ids(product), time.monotonic() + seconds
    while time.monotonic() < end:
        for vm in chance.sample(vms, 4):
            product.inject(chance.choice(["load-vm", "heal"]), vm)
        time.sleep(chance.uniform(0.0, 0.4))


def _rows(product: Product, query: Select[Any]) -> list[Any]:
    with closing(database_of(product.data)) as database, database.platform() as session:
        return [tuple(row) for row in session.execute(query)]


def _transitions(product: Product) -> dict[str, list[Any]]:
    """What is committed, by alarm, in order."""
    found: dict[str, list[Any]] = {}
    told = AlarmTransition
    columns = (told.alarm_id, told.number, told.change, told.at, told.severity_after)
    for alarm, *event in _rows(product, select(*columns).order_by(told.id)):
        found.setdefault(alarm, []).append(event)
    return found


def _kept(before: Mapping[str, list[Any]], after: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """`after`, which continues what was committed before, without a gap and without a double."""
    for alarm, events in before.items():
        assert after[alarm][: len(events)] == events, "a transition is lost or changed"
    for events in after.values():
        assert [number for number, *_ in events] == list(range(1, len(events) + 1)), events
        changes = Counter(change for _, change, *_ in events)
        assert changes["raised"] == 1, events
        assert changes["relieved"] <= 1, events
    return after


def _free_the_claimed(product: Product) -> None:
    """As if the lease of what the killed process was sending had run out."""
    free = update(Outbox).where(Outbox.delivered_at.is_(None)).values(lease_until=None, lease_owner=None)
    with closing(database_of(product.data)) as database, database.platform(write=True) as session:
        session.execute(free)


def _waiting(product: Product) -> set[str]:
    return {key for (key,) in _rows(product, select(Outbox.key).where(Outbox.delivered_at.is_(None)))}


def _deliver_the_rest(product: Product, desk: Receiver) -> None:
    """What was said between the last look and the stop."""
    _free_the_claimed(product)
    with closing(database_of(product.data)) as database:
        hook = Webhook(desk.url)
        sending = Sender(database, SystemClock(), {"desk": hook}, lambda: 0.0)
        while sending.step("desk"):
            pass
        hook.close()
    assert not _waiting(product)


def _all_told_once(letters: Sequence[Any], desk: Receiver) -> None:
    keys = [key for (key,) in letters]
    assert len(set(keys)) == len(keys)
    assert set(desk.keys) == set(keys), "a letter is lost, or one came that nobody wrote"
    bodies: dict[str, Any] = {}
    for _, key, body in desk.requests:
        assert bodies.setdefault(key, body) == body, "one key, two messages"


def _told_what_is_true(product: Product, desk: Receiver) -> None:
    """In order, without a gap, and at the end the receiver knows each alarm as it is."""
    told: dict[str, list[Any]] = {}
    for body in {key: body for _, key, body in desk.requests}.values():
        told.setdefault(body["alarm_id"], []).append(body)
    for alarm, relieved_at, announcements, outstanding in _rows(
        product, select(Alarm.id, Alarm.relieved_at, Alarm.announcements, Alarm.outstanding)
    ):
        numbers = [body["number"] for body in told.get(alarm, [])]
        assert numbers == list(range(1, announcements + 1))
        if not outstanding:
            assert (told[alarm][-1]["change"] in CLOSED) == (relieved_at is not None)
