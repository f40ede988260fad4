"""What every NetworkDriver does, whatever carries the networks. A driver's test module says `from
tests.contract.network import *` and has a fixture `bench`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from core.drivers.network import Applied, NetworkDriver, Refused, Unreachable
from core.network.compile_nic import compile_nic
from core.network.compile_router import compile_router
from core.network.desired import Desired, Node, NodeState
from core.network.intent import RouterIntent
from core.network.node_rows import NodeType
from tests.support.intents import a_nic, a_router, guarded_nic

__all__ = [
    "Bench",
    "test_a_batch_has_an_outcome_for_each_node",
    "test_a_host_that_does_not_answer_is_absent_from_reports",
    "test_a_node_is_on_the_host_that_was_told",
    "test_a_node_is_reported_with_its_generation",
    "test_a_node_never_goes_back",
    "test_a_removed_node_is_gone_and_may_be_removed_again",
    "test_another_drivers_host_is_refused",
    "test_back_ends_of_a_node_that_is_gone_have_no_health",
    "test_everything_may_be_applied_twice",
]

NIC = Node(NodeType.NIC, "nic-1")
ROUTER = Node(NodeType.ROUTER, "router-1")


@dataclass
class Bench:
    """`hosts`: two that answer; `cut` lets one answer no more."""

    driver: NetworkDriver
    hosts: tuple[str, str]
    cut: Callable[[str], None]

    def apply(self, node: Node, generation: int, state: NodeState | None, host: int = 0) -> int:
        """The generation that it has then."""
        outcome = self.driver.apply(self.hosts[host], [Desired(node, generation, state)])[node]
        assert isinstance(outcome, Applied), outcome
        return outcome.generation

    def report(self, host: int = 0) -> dict[Node, int]:
        return dict(self.driver.report(self.hosts)[self.hosts[host]])


def test_a_node_is_reported_with_its_generation(bench: Bench) -> None:
    assert bench.report() == {}
    assert bench.apply(NIC, 3, compile_nic(guarded_nic())) == 3
    assert bench.apply(ROUTER, 1, compile_router(a_plain_router())) == 1
    assert bench.report() == {NIC: 3, ROUTER: 1}
    assert bench.apply(NIC, 4, compile_nic(a_nic())) == 4
    assert bench.report() == {NIC: 4, ROUTER: 1}


def test_everything_may_be_applied_twice(bench: Bench) -> None:
    for _ in range(2):
        assert bench.apply(NIC, 3, compile_nic(a_nic())) == 3
    assert bench.report() == {NIC: 3}


def test_a_node_never_goes_back(bench: Bench) -> None:
    bench.apply(NIC, 3, compile_nic(a_nic()))
    assert bench.apply(NIC, 2, compile_nic(guarded_nic())) == 3
    assert bench.apply(NIC, 2, None) == 3
    assert bench.report() == {NIC: 3}


def test_a_removed_node_is_gone_and_may_be_removed_again(bench: Bench) -> None:
    bench.apply(NIC, 3, compile_nic(a_nic()))
    for _ in range(2):
        assert bench.apply(NIC, 4, None) == 4
    assert bench.report() == {}


def test_a_node_is_on_the_host_that_was_told(bench: Bench) -> None:
    bench.apply(NIC, 3, compile_nic(a_nic()), host=1)
    assert (bench.report(0), bench.report(1)) == ({}, {NIC: 3})
    bench.apply(NIC, 3, None)
    assert bench.report(1) == {NIC: 3}


def test_a_batch_has_an_outcome_for_each_node(bench: Bench) -> None:
    nics = [a_nic(id=f"nic-{n}", device=f"tap{n}", ip=f"10.1.0.{n + 10}", mac=f"52:00:00:00:00:{n:02x}")
            for n in range(20)]  # fmt: skip
    wanted = [Desired(Node(NodeType.NIC, nic.id), 1, compile_nic(nic)) for nic in nics]
    gone = Desired(Node(NodeType.NIC, "nic-gone"), 1, None)
    outcomes = bench.driver.apply(bench.hosts[0], [*wanted, gone])
    assert outcomes == {one.node: Applied(1) for one in (*wanted, gone)}
    assert bench.report() == {one.node: 1 for one in wanted}


def test_a_host_that_does_not_answer_is_absent_from_reports(bench: Bench) -> None:
    bench.apply(NIC, 3, compile_nic(a_nic()), host=1)
    bench.cut(bench.hosts[0])
    assert bench.driver.report(bench.hosts).keys() == {bench.hosts[1]}
    with pytest.raises(Unreachable):
        bench.apply(NIC, 4, compile_nic(a_nic()))
    assert bench.driver.health([bench.hosts[0]]) == {}


def test_another_drivers_host_is_refused(bench: Bench) -> None:
    with pytest.raises(Refused):
        bench.driver.apply("host-of-another-cloud", [Desired(NIC, 1, compile_nic(a_nic()))])
    assert bench.driver.report(["host-of-another-cloud"]) == {}
    assert set(bench.hosts) <= set(bench.driver.hosts())


def test_back_ends_of_a_node_that_is_gone_have_no_health(bench: Bench) -> None:
    bench.apply(ROUTER, 1, compile_router(a_plain_router()))
    assert bench.driver.health(bench.hosts).keys() <= {"node-1", "node-2"}
    bench.apply(ROUTER, 2, None)
    assert bench.driver.health(bench.hosts) == {}


def a_plain_router() -> RouterIntent:
    """One whose balancers need no certificate that a server would have to accept."""
    return replace(a_router(), balancers=())
