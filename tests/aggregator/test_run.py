"""Jobs run on their rhythm; what one does wrong stays its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from aggregator.run import Aggregator, Job
from core.metrics import REGISTRY
from core.timeseries.store import StoreUnavailable
from tests.support.real import eventually


def _runs(job: str, outcome: str) -> float:
    return REGISTRY.get_sample_value("starvc_job_runs_total", {"job": job, "outcome": outcome}) or 0.0


def _raising(error: Exception) -> Callable[[], object]:
    def run() -> object:
        raise error

    return run


def test_a_job_that_fails_stops_neither_itself_nor_the_others() -> None:
    jobs = [
        Job("fails", 0.02, _raising(RuntimeError("a fault"))),
        Job("waits", 0.02, _raising(StoreUnavailable("the disk is full"))),
        Job("asks", 0.02, _raising(OperationalError("SELECT", None, Exception("connection refused")))),
        Job("works", 0.02, lambda: None),
    ]
    aggregator = Aggregator(jobs)
    with capture_logs() as logs:
        aggregator.start()
        expected = {"fails": "failed", "waits": "unavailable", "asks": "unavailable", "works": "ok"}
        eventually(lambda: all(_runs(job, outcome) > 2 for job, outcome in expected.items()))
        aggregator.stop()
    assert _runs("works", "failed") == 0
    assert {line["job"] for line in logs if line["log_level"] == "error"} == {"fails"}


def test_the_cpu_time_of_a_job_is_counted_and_its_waiting_is_not() -> None:
    def spent(job: str) -> float:
        return REGISTRY.get_sample_value("starvc_job_cpu_seconds_total", {"job": job}) or 0.0

    waits = threading.Event()
    aggregator = Aggregator(
        [Job("thinks", 0.02, lambda: sum(range(100_000))), Job("idles", 0.02, lambda: waits.wait(0.05))]
    )
    aggregator.start()
    eventually(lambda: _runs("thinks", "ok") > 2 and _runs("idles", "ok") > 2)
    aggregator.stop()
    assert spent("thinks") > spent("idles") > 0
    assert spent("idles") < 0.05 * _runs("idles", "ok")


def test_a_slow_job_never_runs_beside_itself_and_its_missed_runs_are_counted() -> None:
    release, running, most = threading.Event(), 0, 0

    def slow() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        release.wait(10)
        running -= 1

    aggregator = Aggregator([Job("slow", 0.02, slow)])
    aggregator.start()
    eventually(lambda: _runs("slow", "missed") > 2)
    release.set()
    eventually(lambda: _runs("slow", "ok") > 2)
    aggregator.stop()
    assert most == 1


def test_stop_waits_for_the_run_under_way_and_begins_no_other() -> None:
    begun, release, ended = threading.Event(), threading.Event(), []

    def run() -> None:
        begun.set()
        release.wait(10)
        ended.append(1)

    aggregator = Aggregator([Job("last", 0.02, run)])
    aggregator.start()
    assert begun.wait(10)
    threading.Timer(0.1, release.set).start()
    aggregator.stop()
    assert len(ended) == 1


def test_jobs_of_the_same_name_are_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        Aggregator([Job("twice", 1.0, lambda: None), Job("twice", 1.0, lambda: None)])
