"""kill -9 while alarms are evaluated and delivered: nothing is lost or doubled, in the database or at the receiver."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from sqlalchemy import select

from aggregator.notify.outbox import LEASE
from aggregator.notify.sender import Sender
from aggregator.notify.webhook import Webhook
from core.alarms.finding import FlapPolicy
from core.alarms.rows import AlarmTransition, Outbox
from core.db.engine import Database
from tests.conftest import NewDatabase
from tests.support.alarms import CPU, Evaluator, dump, facts
from tests.support.state import on_one_kind
from tests.support.webhook import receiver

R = TypeVar("R")
_ROOT = Path(__file__).parents[2]
_KILLS = int(os.environ.get("STARVC_KILLS", "6"))
_VMS = [f"vm-{number}" for number in range(20)]
_WRITER = """
import sys, threading
from aggregator.notify.sender import Sender
from aggregator.notify.webhook import Webhook
from core.clock import SystemClock
from core.db.engine import Database
from tests.crash.test_alarms import evaluator, tick
database, number = Database(sys.argv[1]), int(sys.argv[3])
sending = Sender(database, SystemClock(), {"desk": Webhook(sys.argv[2])}, lambda: 0.0)
def deliver():
    while True:
        sending.step("desk")
threading.Thread(target=deliver, daemon=True).start()
evaluating = evaluator(database)
while True:
    tick(evaluating, number)
    print(number, flush=True)
    number += 1
"""


def evaluator(database: Database) -> Evaluator:
    """With alarms that flap now and then, and are soon steady again: held open for long, they would change no more."""
    return Evaluator(database, replace(CPU, flap=FlapPolicy(hi=3.0, lo=1.0, half_life=20.0)), facts(*_VMS))


def tick(evaluating: Evaluator, number: int) -> None:
    """The findings of a moment are the same each time it is evaluated."""
    chance = random.Random(number)
    evaluating.clock.instant = evaluating.clock.instant.replace(2026, 1, 1, 0, 0, 0)
    evaluating.clock.advance(10 * number)
    evaluating.take({name: chance.choice(["low", "raise", "clear", "hold", "failed"]) for name in _VMS})


def _killed(database_url: str, webhook_url: str, number: int, seconds: float) -> int:
    """Run from moment `number`, kill it a while after its first moment; the last moment that it called done."""
    command = [sys.executable, "-c", _WRITER, database_url, webhook_url, str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:
        assert process.stdout is not None
        done = [int(process.stdout.readline())]
        reader = threading.Thread(target=lambda: done.extend(map(int, process.stdout or ())))
        reader.start()
        time.sleep(seconds)
        process.kill()
        process.wait()
        reader.join()
    return done[-1]


@on_one_kind
def test_killed_again_and_again_nothing_is_lost_or_doubled(new_database: NewDatabase) -> None:
    database, last = new_database(), -1
    url = database.url.render_as_string(hide_password=False)
    with receiver() as server:
        for kill in range(_KILLS):
            last = _killed(url, server.url, last + 1, random.Random(kill).uniform(0.05, 0.6))
        finishing = evaluator(database)
        tick(finishing, last + 1)
        _deliver_the_rest(finishing, server.url)
        told = {key: body for _, key, body in server.requests}
        first = [key for _, key, _ in server.requests]
    sent = _rows(database, Outbox)
    assert set(told) == {letter.key for letter in sent}
    assert all(told[letter.key] == letter.payload for letter in sent)
    _in_order_for_who_drops_what_he_has_seen(list(dict.fromkeys(first)))
    assert _history(database) == _history(_uninterrupted(new_database(), last + 1))
    assert len(_rows(database, AlarmTransition)) > 10 * _KILLS


def _deliver_the_rest(finishing: Evaluator, url: str) -> None:
    hook = Webhook(url)
    finishing.clock.instant = finishing.clock.instant.replace(year=2100) + LEASE
    sending = Sender(finishing.database, finishing.clock, {"desk": hook}, lambda: 0.0)
    while sending.step("desk"):
        pass
    hook.close()


def _in_order_for_who_drops_what_he_has_seen(keys: list[str]) -> None:
    numbers: dict[str, list[int]] = {}
    for key in keys:
        alarm, number, _ = key.split("/")
        numbers.setdefault(alarm, []).append(int(number))
    assert all(seen == list(range(1, len(seen) + 1)) for seen in numbers.values())


def _uninterrupted(database: Database, last: int) -> Database:
    again = evaluator(database)
    for number in range(last + 1):
        tick(again, number)
    return database


def _history(database: Database) -> object:
    found = dump(database)
    return {name: found[name] for name in ("alarm", "alarm_state", "alarm_rule", "alarm_transition")}


def _rows(database: Database, kind: type[R]) -> list[R]:
    with database.platform() as session:
        return list(session.scalars(select(kind)))
