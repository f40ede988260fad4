"""Faults of the simulated data centre, as the watch over the hosts meets them on real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.simulation import SimulatedCloud, served
from api.simulation.exporter import HOST_PATH, VM_PATH
from core.clock import SystemClock
from core.drivers.power import Power
from core.drivers.simulated.faults import Action, Fault
from core.hosts.probe import probe
from core.hosts.state import Probe

HOST = "host-sim-001"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[SimulatedCloud]:
    with served(1, 2, 4, tmp_path, SystemClock()) as started:
        yield started


@pytest.mark.parametrize(
    ("fault", "answer", "power"),
    [
        (None, Probe.ANSWERS, Power.ON),
        (Action.CRASH_HOST, Probe.REFUSED, Power.OFF),
        (Action.CUT_LINK, Probe.ACCEPTS, Power.ON),
        (Action.HANG_EXPORTER, Probe.ANSWERS, Power.ON),
    ],
)
def test_what_a_fault_looks_like(cloud: SimulatedCloud, fault: Action | None, answer: Probe, power: Power) -> None:
    if fault is not None:
        cloud.apply(Fault(fault, HOST))
    page = f"http://127.0.0.1:{cloud.whereabouts.ports[HOST]}"
    assert probe({HOST: [page + HOST_PATH, page + VM_PATH]}, 1.0) == {HOST: answer}
    assert cloud.look({HOST, "another"}) == {HOST: power}
    if fault is not None:
        cloud.apply(Fault(Action.HEAL, HOST))
        assert probe({HOST: [page + HOST_PATH]}, 1.0) == {HOST: Probe.ANSWERS}
