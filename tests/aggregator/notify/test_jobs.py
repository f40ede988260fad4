"""What the aggregator runs for notifications."""

from __future__ import annotations

from datetime import timedelta

from aggregator.notify.config import parse
from aggregator.notify.jobs import jobs, retention_job, sender
from core.db.engine import Database
from core.zone import zone
from tests.support.alarms import Evaluator
from tests.support.webhook import receiver

FILE = """
receivers: [{{name: hook, webhook: '{hook}'}}, {{name: am, alertmanager: '{am}'}}]
routes: [{{receivers: [hook, am]}}]
"""


def test_each_receiver_has_a_job_of_its_own_and_forgetful_ones_are_reminded(database: Database) -> None:
    with receiver() as hook, receiver() as am:
        routes = parse("notify.yaml", FILE.format(hook=hook.url, am=am.url))
        evaluator = Evaluator(database, routing=routes)
        sending = sender(database, evaluator.clock, routes, zone("UTC"))
        found = {job.name: job for job in jobs(sending, routes)}
        assert set(found) == {"notify_hook", "notify_am", "remind_am", "alarm_gauges", "notify_cleaning"}
        evaluator.take({"vm-1": "low"})
        for job in found.values():
            job.run()
        sending.close()
        assert len(hook.requests) == 1
        assert len(am.requests) == 2


def test_alarms_are_forgotten_in_the_end(database: Database) -> None:
    evaluator = Evaluator(database)
    evaluator.take({"vm-1": "low"})
    evaluator.take({"vm-1": "clear"})
    job = retention_job(database, evaluator.clock, days=2)
    job.run()
    assert len(evaluator.alarms()) == 1
    evaluator.clock.advance(timedelta(days=2, seconds=1).total_seconds())
    job.run()
    assert evaluator.alarms() == []
