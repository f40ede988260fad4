"""What a step of the watch over 500 hosts costs: while all is well, and while 50 of them are dead."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import pytest

from core.db.engine import Database
from core.hosts.rows import HostState
from tests.support.hosts import Cloud, Condition

HOSTS = 500


@pytest.mark.benchmark
def test_steps_over_500_hosts(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'starvc.db'}")
    database.migrate()
    cloud = Cloud(database, tmp_path)
    cloud.add_hosts(*(f"h{number}" for number in range(HOSTS)))
    cloud.run(20)
    print(f"\n{HOSTS} hosts, all well: {1000 * _step(cloud):.1f} ms per step")
    for number in range(50):
        cloud.conditions[f"h{number}"] = Condition.CRASHED
    cloud.run(25)
    print(f"{HOSTS} hosts, 50 dead and the brake engaged: {1000 * _step(cloud):.1f} ms per step")
    assert cloud.state("h49") is HostState.FAULT_DETECTING
    assert cloud.state("h50") is HostState.RUNNING
    assert cloud.fenced == []
    cloud.close()
    database.close()


def _step(cloud: Cloud) -> float:
    """Median seconds of CPU of one step of the watch alone, of ten."""
    taken = []
    for _ in range(10):
        cloud.clock.advance(1)
        began = time.process_time()
        cloud.watches[0].step()
        taken.append(time.process_time() - began)
    return median(taken)
