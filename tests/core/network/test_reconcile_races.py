"""Several servers that bring the same network about, and requests that change it at the same moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import pytest
from sqlalchemy import text

from core.drivers.network import Outcome
from core.drivers.simulated.network import SimulatedNetwork
from core.network import backends, nodes
from core.network.balancer_rows import BackEnd
from core.network.desired import Desired, Node
from core.network.reconcile import Reconciler
from tests.support.filtering import Wall
from tests.support.reconciling import Yard, a_yard
from tests.support.threads import meeting_after, together

SERVERS = 4
ROUNDS = 5


class Counting:
    """The network, and how often it was asked to bring each generation of a node about."""

    def __init__(self, network: SimulatedNetwork) -> None:
        self._network = network
        self.applied: Counter[tuple[Node, int]] = Counter()

    def hosts(self) -> Collection[str]:
        return self._network.hosts()

    def apply(self, host_id: str, wanted: Sequence[Desired]) -> Mapping[Node, Outcome]:
        self.applied.update((one.node, one.generation) for one in wanted)
        return self._network.apply(host_id, wanted)

    def report(self, host_ids: Collection[str]) -> Mapping[str, Mapping[Node, int]]:
        return self._network.report(host_ids)

    def health(self, host_ids: Collection[str]) -> Mapping[str, bool]:
        return self._network.health(host_ids)


@pytest.fixture
def yard(wall: Wall) -> Iterator[Yard]:
    with a_yard(wall) as made:
        yield made


def servers(yard: Yard, network: Counting) -> list[Reconciler]:
    made = [yard.another(f"server-{number}") for number in range(SERVERS)]
    for one in made:
        one._around = replace(one._around, driver=network)
    return made


def unconfirmed(yard: Yard) -> set[Node]:
    return {node for node in yard.nodes() if (row := yard.row(node)).wanted != row.confirmed}


def test_several_servers_apply_every_change_once(yard: Yard) -> None:
    """Rules come while all of them work: no generation is applied by two of them, and none is forgotten."""
    network = Counting(yard.network)
    those = servers(yard, network)
    group = yard.wall.group()
    yard.wall.bind(group, *yard.wall.nics)

    def deed(number: int) -> int:
        if number == SERVERS:
            return len([yard.wall.rule(group, ports=str(1000 + port)) for port in range(ROUNDS)])
        return sum(those[number].step() for _ in range(ROUNDS))

    together(SERVERS + 1, deed)
    those[0].step()
    assert unconfirmed(yard) == set()
    assert yard.wall.pending() == set()
    assert yard.there().keys() == {yard.router, *yard.nics}
    assert {one: times for one, times in network.applied.items() if times > 1} == {}


def test_what_a_host_lost_is_found_by_several_servers_and_applied_once(yard: Yard) -> None:
    network = Counting(yard.network)
    those = servers(yard, network)
    those[0].step()
    before = {node: yard.row(node).wanted for node in yard.nodes()}
    there = yard.there()
    for host_id in yard.network.hosts():
        yard.network.lose(host_id)
    together(SERVERS, lambda number: those[number].sweep())
    assert {node: yard.row(node).wanted for node in yard.nodes()} == {node: one + 1 for node, one in before.items()}
    together(SERVERS, lambda number: those[number].step())
    assert yard.there() == there
    assert {one: times for one, times in network.applied.items() if times > 1} == {}


def test_servers_that_step_sweep_and_look_at_once_leave_what_is_wanted(yard: Yard) -> None:
    """Hosts lose their nodes meanwhile, and a VM is deleted: there is neither too little in the end nor too much."""
    those = servers(yard, Counting(yard.network))
    balancer = yard.wall.site.add()
    back_end = yard.wall.site.node(balancer, vm=1)
    those[0].step()

    def deed(number: int) -> None:
        for _ in range(ROUNDS):
            if number == SERVERS:
                yard.network.lose(yard.network.hosts()[0])  # type: ignore[index]
            else:
                those[number].sweep()
                those[number].step()
                those[number].look()

    together(SERVERS + 1, deed)
    yard.wall.delete_vm(yard.wall.vms[0])
    together(SERVERS, deed)
    those[0].sweep()
    those[0].step()
    those[0].look()
    assert yard.there().keys() == yard.nodes() == {yard.router, yard.nics[1]}
    assert unconfirmed(yard) == set()
    assert {one.id: one.healthy for one in yard.wall.site.rows(BackEnd)} == {back_end: True}


def test_servers_that_see_the_opposite_of_the_same_back_ends_do_not_wait_for_each_other(yard: Yard) -> None:
    """Each would write first what the other writes last."""
    balancer = yard.wall.site.add()
    one, other = (yard.wall.site.node(balancer, vm=number) for number in (0, 1))

    def look(number: int) -> None:
        with yard.control.database.platform(write=True) as session:
            backends.record_health(session, {one: number == 0, other: number == 1})

    with meeting_after(yard.control.database, "UPDATE back_end"):
        together(2, look)
    seen = {row.id: row.healthy for row in yard.wall.site.rows(BackEnd)}
    assert seen in ({one: True, other: False}, {one: False, other: True})


def test_retrying_waits_for_nobody_and_leaves_alone_what_is_being_marked(yard: Yard) -> None:
    if yard.control.database.url.get_backend_name() == "sqlite":
        pytest.skip("one transaction writes at a time: there is nobody to wait for")
    yard.reconciler.step()
    for nic in yard.wall.nics:
        yard.network.fail(nic)
    group = yard.wall.group()
    yard.wall.rule(group)
    yard.wall.bind(group, *yard.wall.nics)
    yard.reconciler.step()
    with yard.control.database.platform(write=True) as marking:
        nodes.mark_nics(marking, yard.wall.nics[:1])
        with yard.control.database.platform(write=True) as session:
            session.execute(text("SET LOCAL lock_timeout = '1s'"))
            nodes.retry_now(session)
        assert [yard.row(nic).attempts for nic in yard.nics] == [1, 0]
    assert [yard.row(nic).attempts for nic in yard.nics] == [0, 0]


def test_retrying_marking_and_applying_at_once_never_wait_in_a_ring(yard: Yard) -> None:
    """Whoever marks names the NICs in either order."""
    yard.reconciler.step()
    nics = yard.wall.nics

    def deed(number: int) -> None:
        for _ in range(4 * ROUNDS):
            if number < 2:
                with yard.control.database.tenant(yard.control.tenant, write=True) as session:
                    nodes.retry_now(session)
            elif number < 4:
                with yard.control.database.platform(write=True) as session:
                    nodes.mark_nics(session, nics[:: 1 if number % 2 else -1], [f"rule-{number}"])
            else:
                yard.reconciler.step()

    together(5, deed)
    yard.reconciler.step()
    assert unconfirmed(yard) == set()
    assert yard.wall.pending() == set()
