"""The aggregator as a running part: APScheduler calls its jobs, each on its own rhythm, none beside itself.

A job is a step function. What one job does wrong never stops another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from aggregator.metrics import JOB_CPU, JOB_RUNS, JOB_SECONDS
from core.db.engine import UNAVAILABLE
from core.leases.leases import LeaseLost
from core.timeseries.store import StoreUnavailable

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """`run` is called `every` seconds; when one run takes longer, the runs it overlaps are counted as missed and left
    out.
    """

    name: str
    every: float
    run: Callable[[], object]


class Aggregator:
    """Runs the jobs between `start` and `stop`, each in a thread of a pool as large as there are jobs."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = tuple(jobs)
        if repeated := {job.name for job in jobs if [other.name for other in jobs].count(job.name) > 1}:
            raise ValueError(f"job names must differ: {', '.join(sorted(repeated))}")
        pool = ThreadPoolExecutor(max(1, len(self._jobs)))
        defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        self._scheduler = BackgroundScheduler(executors={"default": pool}, job_defaults=defaults, timezone="UTC")
        self._scheduler.add_listener(_count_missed, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)

    def start(self) -> None:
        for job in self._jobs:
            self._scheduler.add_job(_run, "interval", args=[job], seconds=job.every, id=job.name)
        self._scheduler.start()

    def stop(self) -> None:
        """Runs under way are finished; no other begins."""
        self._scheduler.shutdown(wait=True)


def _run(job: Job) -> None:
    """One run, counted and timed."""
    began = time.thread_time()
    with JOB_SECONDS.labels(job.name).time():
        try:
            job.run()
        except StoreUnavailable as error:
            JOB_RUNS.labels(job.name, "unavailable").inc()
            _log.warning("job_waits_for_store", job=job.name, reason=str(error))
        except UNAVAILABLE as error:
            JOB_RUNS.labels(job.name, "unavailable").inc()
            _log.warning("job_waits_for_database", job=job.name, reason=str(error))
        except LeaseLost as lost:
            JOB_RUNS.labels(job.name, "overtaken").inc()
            _log.info("job_overtaken", job=job.name, reason=str(lost))
        except Exception:  # noqa: BLE001 - the scheduler's edge: one job's fault must not stop the others, nor its next run
            JOB_RUNS.labels(job.name, "failed").inc()
            _log.exception("job_failed", job=job.name)
        else:
            JOB_RUNS.labels(job.name, "ok").inc()
    JOB_CPU.labels(job.name).inc(time.thread_time() - began)


def _count_missed(event: JobEvent) -> None:
    JOB_RUNS.labels(event.job_id, "missed").inc()
