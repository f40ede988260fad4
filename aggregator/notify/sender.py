"""The sender: step functions that a scheduler calls, one job per receiver, so that one that hangs delays nobody else.

At least once: a letter is marked after the receiver has said that it has it, never before. See
`aggregator.notify.outbox` for the worst moment.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.orm import Session

from aggregator.notify import outbox
from aggregator.notify.metrics import CIRCUIT, DWELL_SECONDS, NOTIFICATIONS, SEND_SECONDS
from aggregator.notify.outbox import MOST_ATTEMPTS, Claimed
from aggregator.notify.pace import Circuit, wait
from aggregator.notify.port import Delivered, Failed, Forgetful, Notifier, Outcome, Refused
from core.alarms.announce import open_announcements
from core.alarms.announcement import Routing
from core.alarms.census import publish_census
from core.clock import Clock
from core.db.engine import Database

_log = structlog.get_logger(__name__)

KEPT: Final = timedelta(days=30)
"""So long delivered and dead letters can be looked at."""
_LETTERS_IN_A_STEP: Final = 1000


@dataclass(frozen=True, slots=True)
class _Channel:
    notifier: Notifier
    lock: threading.Lock


class Sender:
    """Delivers what waits in the outbox. `jitter` gives numbers from 0 to 1."""

    def __init__(
        self, database: Database, clock: Clock, notifiers: Mapping[str, Notifier], jitter: Callable[[], float]
    ) -> None:
        self._database = database
        self._clock = clock
        self._jitter = jitter
        self._owner = f"sender-{secrets.token_hex(8)}"
        self._channels = {name: _Channel(notifier, threading.Lock()) for name, notifier in notifiers.items()}
        self._circuits = {name: Circuit() for name in notifiers}

    @property
    def receivers(self) -> Sequence[str]:
        return tuple(self._channels)

    @property
    def forgetful(self) -> Sequence[str]:
        """Those that `remind` is for."""
        return tuple(name for name, channel in self._channels.items() if isinstance(channel.notifier, Forgetful))

    def step(self, receiver: str) -> int:
        """Send what is due, batch after batch; how many letters were delivered.

        1. Nothing while the circuit is open, nor when another step of this receiver is under way.
        2. Claim a batch: committed before anything is sent.
        3. Send it, with no transaction open.
        4. Mark each letter by its outcome; those that were not tried are free again.
        5. Go on until nothing is due or one fails.
        """
        channel = self._channels[receiver]
        if not channel.lock.acquire(blocking=False):
            return 0
        try:
            total = 0
            while total < _LETTERS_IN_A_STEP and self._circuits[receiver].closed(self._clock.now()):
                claimed, outcomes = self._send_batch(receiver, channel.notifier)
                arrived = sum(isinstance(outcome, Delivered) for outcome in outcomes)
                total += arrived
                if not claimed or any(isinstance(outcome, Failed) for outcome in outcomes):
                    break
            return total
        finally:
            channel.lock.release()

    def remind(self, receiver: str, routing: Routing) -> None:
        """Tell a receiver that forgets what is open. Alternates with `step`: a reminder never overtakes a relief."""
        channel = self._channels[receiver]
        if not isinstance(channel.notifier, Forgetful) or not self._circuits[receiver].closed(self._clock.now()):
            return
        with channel.lock:
            with self._database.platform() as session:
                said = open_announcements(session, self._clock.now())
            mine = [one for one in said if receiver in routing(one)]
            if mine:
                self._learn(receiver, channel.notifier.remind(mine))

    def keep_house(self) -> None:
        """1. Give up letters to receivers that are gone. 2. Forget old letters."""
        now = self._clock.now()
        with self._database.platform(write=True) as session:
            buried = outbox.bury_strangers(session, self.receivers, now)
            outbox.forget_letters(session, now - KEPT)
        if buried:
            _log.warning("letters_of_unknown_receivers_buried", letters=buried)

    def publish(self) -> None:
        """Set the gauges of alarms and of the outbox."""
        now = self._clock.now()
        with self._database.platform() as session:
            publish_census(session, now)
            outbox.publish(session, self.receivers, now)

    def close(self) -> None:
        for channel in self._channels.values():
            channel.notifier.close()

    def _send_batch(self, receiver: str, notifier: Notifier) -> tuple[Sequence[Claimed], Sequence[Outcome]]:
        allowance = self._circuits[receiver].allowance(notifier.batch)
        with self._database.platform() as session:
            if not outbox.anything_due(session, receiver, self._clock.now()):
                return (), ()
        with self._database.platform(write=True) as session:
            claimed = outbox.claim(session, receiver, self._owner, allowance, self._clock.now())
        if not claimed:
            return (), ()
        began = time.perf_counter()
        outcomes = notifier.send([one.letter for one in claimed])
        SEND_SECONDS.labels(notifier.kind).observe(time.perf_counter() - began)
        now = self._clock.now()
        with self._database.platform(write=True) as session:
            for one, outcome in zip(claimed, outcomes, strict=False):
                self._mark(session, one, outcome, notifier.kind, now)
            for one in claimed[len(outcomes) :]:
                outbox.released(session, one, self._owner)
        for outcome in outcomes:
            self._learn(receiver, outcome)
        return claimed, outcomes

    def _mark(self, session: Session, one: Claimed, outcome: Outcome, kind: str, now: datetime) -> None:
        match outcome:
            case Delivered():
                outbox.delivered(session, one, self._owner, now)
                NOTIFICATIONS.labels(kind, "delivered").inc()
                DWELL_SECONDS.labels(kind).observe(max(0.0, (now - one.created_at).total_seconds()))
            case Failed(reason, retry_after) if one.attempts < MOST_ATTEMPTS:
                pause = wait(one.attempts, retry_after, self._jitter())
                outbox.failed(session, one, self._owner, reason, now + timedelta(seconds=pause))
                NOTIFICATIONS.labels(kind, "failed").inc()
                _log.info("notification_failed", key=one.letter.key, attempts=one.attempts, reason=reason)
            case Failed(reason) | Refused(reason):
                outbox.given_up(session, one, self._owner, reason, now)
                NOTIFICATIONS.labels(kind, "dead").inc()
                _log.warning("notification_given_up", key=one.letter.key, attempts=one.attempts, reason=reason)

    def _learn(self, receiver: str, outcome: Outcome) -> None:
        """What an outcome says about the receiver: a letter that it refuses shows that it answers."""
        circuit, now = self._circuits[receiver], self._clock.now()
        if isinstance(outcome, Failed):
            circuit = circuit.failed(now, outcome.retry_after, self._jitter())
        else:
            circuit = circuit.succeeded()
        self._circuits[receiver] = circuit
        CIRCUIT.labels(receiver).set(not circuit.closed(now))
