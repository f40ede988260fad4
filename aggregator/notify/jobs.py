"""The sender's steps as jobs of the aggregator: each receiver has one of its own, and so a thread of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta, tzinfo
from functools import partial
from random import SystemRandom
from typing import Final

from aggregator.notify.config import Notifications, notifier
from aggregator.notify.port import Notifier
from aggregator.notify.sender import Sender
from aggregator.run import Job
from core.alarms.retention import forget_alarms
from core.clock import Clock
from core.db.engine import Database

SEND_EVERY: Final = 1.0
REMIND_EVERY: Final = 60.0
PUBLISH_EVERY: Final = 10.0
CLEAN_EVERY: Final = 3600.0


def notifiers(of: Notifications, zone: tzinfo) -> dict[str, Notifier]:
    """The channel of each receiver; times in texts for people are in `zone`."""
    return {name: notifier(receiver, zone) for name, receiver in of.receivers.items()}


def sender(database: Database, clock: Clock, of: Notifications, zone: tzinfo) -> Sender:
    return Sender(database, clock, notifiers(of, zone), SystemRandom().random)


def jobs(of: Sender, routing: Notifications) -> Sequence[Job]:
    """One that sends for each receiver, one that reminds for each that forgets, one that publishes gauges, one that
    cleans.
    """
    sending = [Job(f"notify_{name}", SEND_EVERY, partial(of.step, name)) for name in of.receivers]
    reminding = [Job(f"remind_{name}", REMIND_EVERY, partial(of.remind, name, routing)) for name in of.forgetful]
    return (
        *sending,
        *reminding,
        Job("alarm_gauges", PUBLISH_EVERY, of.publish),
        Job("notify_cleaning", CLEAN_EVERY, of.keep_house),
    )


def retention_job(database: Database, clock: Clock, days: float) -> Job:
    """Alarms relieved longer ago than that are forgotten, a thousand an hour."""

    def forget() -> None:
        with database.platform(write=True) as session:
            forget_alarms(session, clock.now() - timedelta(days=days))

    return Job("alarm_retention", CLEAN_EVERY, forget)
