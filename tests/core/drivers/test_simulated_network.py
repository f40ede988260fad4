"""The simulated NetworkDriver: the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.clock import VirtualClock
from core.drivers.network import Failed
from core.drivers.simulated.faults import Action, Deed, Fault
from core.drivers.simulated.network import SimulatedNetwork
from core.network.compile_nic import compile_nic
from core.network.compile_router import compile_router
from core.network.desired import Desired
from tests.contract.network import *  # noqa: F403
from tests.contract.network import NIC, ROUTER, Bench
from tests.support.intents import a_nic, a_router
from tests.support.world import MemoryWorld

HOSTS = ("host-sim-001", "host-sim-002")


@pytest.fixture
def world() -> MemoryWorld:
    return MemoryWorld(VirtualClock(), hosts=2, vms=4)


@pytest.fixture
def network(world: MemoryWorld, tmp_path: Path) -> Iterator[SimulatedNetwork]:
    made = SimulatedNetwork(world, tmp_path / "network.db")
    yield made
    made.close()


@pytest.fixture
def bench(world: MemoryWorld, network: SimulatedNetwork) -> Bench:
    return Bench(network, HOSTS, lambda host: world.inject(Fault(Action.CUT_LINK, host)))


def test_a_host_that_is_told_to_fail_keeps_what_it_has(
    bench: Bench, world: MemoryWorld, network: SimulatedNetwork
) -> None:
    bench.apply(NIC, 1, compile_nic(a_nic()))
    world.inject(Fault(Action.FAIL_OPERATION, HOSTS[0], Deed.NETWORK))
    assert isinstance(network.apply(HOSTS[0], [Desired(NIC, 2, None)])[NIC], Failed)
    assert bench.report() == {NIC: 1}


def test_one_node_of_a_batch_fails_and_the_others_do_not(bench: Bench, network: SimulatedNetwork) -> None:
    network.fail(NIC.id)
    both = [Desired(NIC, 1, compile_nic(a_nic())), Desired(ROUTER, 1, compile_router(a_router()))]
    assert isinstance(network.apply(HOSTS[0], both)[NIC], Failed)
    assert bench.report() == {ROUTER: 1}


def test_state_and_failures_outlive_the_process_and_a_damaged_file_does_not_stop_it(
    bench: Bench, world: MemoryWorld, network: SimulatedNetwork, tmp_path: Path
) -> None:
    bench.apply(ROUTER, 5, compile_router(a_router()))
    network.fail(NIC.id)
    again = SimulatedNetwork(world, tmp_path / "network.db")
    assert again.report(HOSTS)[HOSTS[0]] == {ROUTER: 5}
    assert again.knows(NIC.id)
    again._file.execute("UPDATE node SET state = '{}'")
    again.close()
    forgetful = SimulatedNetwork(world, tmp_path / "network.db")
    assert forgetful.report(HOSTS) == {host: {} for host in HOSTS}
    forgetful.close()


def test_private_keys_are_not_in_the_file(bench: Bench, tmp_path: Path) -> None:
    bench.apply(ROUTER, 5, compile_router(a_router()))
    assert all(b"PRIVATE KEY" not in file.read_bytes() for file in tmp_path.iterdir())
