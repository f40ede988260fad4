"""What hosts have follows what tenants want: applied, confirmed, retried, and repaired where it was lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import update

from core.compute.rows import Vm
from core.compute.vms import SwitchFirewall, switch_firewall
from core.drivers.network import Applied, Unreachable
from core.drivers.simulated.faults import Action, Deed, Fault
from core.hosts.rows import Host, HostState
from core.network import claims, mappings, nodes
from core.network.access_rules import Gate
from core.network.balancer_rows import BackEnd
from core.network.desired import Desired
from core.network.filter_rows import Boundary
from core.network.mappings import MapPort
from core.network.outer_rows import Transport
from core.network.router_rows import Router
from core.network.traffic import Direction, Protocol
from tests.support.balancing import OUTER
from tests.support.filtering import Wall
from tests.support.reconciling import Yard, a_yard


@pytest.fixture
def yard(wall: Wall) -> Iterator[Yard]:
    with a_yard(wall) as made:
        yield made


def test_a_group_rule_is_in_effect_when_the_host_has_it(yard: Yard) -> None:
    yard.reconciler.step()
    assert yard.try_between(80).passed
    group = yard.wall.group()
    yard.wall.bind(group, yard.wall.nics[0])
    rule = yard.wall.rule(group, ports="80")
    assert yard.wall.pending() == {(rule, yard.wall.vms[0])}
    assert yard.reconciler.step() == 1
    assert yard.wall.pending() == set()
    assert yard.wall.in_effect(yard.wall.vms[0]) == {rule: True}
    assert yard.try_between(80).by == rule
    assert not yard.try_between(81).passed
    assert yard.reconciler.step() == 0


def test_inner_rules_count_while_the_firewall_is_on_and_gate_rules_while_the_gate_is_open(yard: Yard) -> None:
    inner = yard.wall.allow(boundary=Boundary.NIC, direction=Direction.IN, protocol=Protocol.TCP, ports="22")
    gate = yard.wall.allow(protocol=Protocol.TCP, ports="8080", sources="198.51.100.0/24")
    mapped = MapPort(inner_ip=yard.wall.ips[0], inner_port=8080, outer_ip=OUTER, outer_port=80, protocol=Transport.TCP)
    yard.control.do(mappings.map_port, mapped)
    yard.reconciler.step()
    assert yard.try_between(23).passed
    assert yard.try_outside(OUTER, 80, "192.0.2.1")[-1].passed
    yard.wall.gate(Gate.OPEN)
    yard.reconciler.step()
    assert not yard.try_outside(OUTER, 80, "192.0.2.1")[-1].passed
    assert yard.try_outside(OUTER, 80)[-2].by == gate
    yard.control.do(switch_firewall, SwitchFirewall(id=yard.wall.vms[0], enabled=True))
    assert yard.wall.pending() == {(inner, yard.wall.vms[0])}
    yard.reconciler.step()
    assert yard.try_between(22).by == inner
    assert not yard.try_between(23).passed
    assert not yard.try_outside(OUTER, 80)[-1].passed


def test_a_failure_is_counted_and_tried_again_later_or_now(yard: Yard) -> None:
    yard.reconciler.step()
    yard.network.fail(yard.wall.nics[0])
    group = yard.wall.group()
    yard.wall.rule(group)
    yard.wall.bind(group, *yard.wall.nics)
    assert yard.reconciler.step() == 1
    assert [vm for _, vm in yard.wall.pending()] == [yard.wall.vms[0]]
    for attempts, pause in ((1, 1), (2, 2), (3, 4)):
        row = yard.row(yard.nics[0])
        assert (row.attempts, row.next_try_at) == (attempts, yard.control.clock.now() + timedelta(seconds=pause))
        assert "network of nic" in row.last_failure
        yard.control.clock.advance(pause)
        assert yard.reconciler.step() == 0
    yard.network.heal()
    assert yard.reconciler.step() == 0
    with yard.control.database.tenant(yard.control.tenant, write=True) as session:
        nodes.retry_now(session)
    assert yard.reconciler.step() == 1
    assert yard.row(yard.nics[0]).last_failure == ""
    assert yard.wall.pending() == set()


def test_a_change_while_it_is_applied_stays_due(yard: Yard) -> None:
    yard.reconciler.step()
    with yard.control.database.platform(write=True) as session:
        nodes.mark_nics(session, [yard.wall.nics[0]], ["rule-early"])
    with yard.control.database.platform(write=True) as session:
        claims.claim(session, "one", 10, yard.control.clock.now())
    with yard.control.database.platform() as session:
        (claimed,) = claims.read(session, [yard.nics[0]])
    with yard.control.database.platform(write=True) as session:
        nodes.mark_nics(session, [yard.wall.nics[0]], ["rule-late"])
    with yard.control.database.platform(write=True) as session:
        assert claims.confirmed(session, "one", claimed, "host-sim-001")
    assert {rule for rule, _ in yard.wall.pending()} == {"rule-late"}
    assert yard.reconciler.step() == 1
    assert yard.wall.pending() == set()


def test_what_another_server_holds_is_left_alone_until_its_lease_is_over(yard: Yard) -> None:
    other = yard.another("two")
    with yard.control.database.platform(write=True) as session:
        held = claims.claim(session, "one", 100, yard.control.clock.now())
    assert len(held) == 3
    assert other.step() == 0
    with yard.control.database.platform() as session:
        (stale, *_) = claims.read(session, held)
    yard.control.clock.advance(claims.LEASE.total_seconds())
    assert other.step() == 3
    with yard.control.database.platform(write=True) as session:
        assert not claims.confirmed(session, "one", stale, "host-sim-002")
    assert yard.row(stale.node).host_id == yard.there()[stale.node]


def test_a_deleted_vm_leaves_nothing_on_its_host(yard: Yard) -> None:
    yard.reconciler.step()
    assert yard.there().keys() == {yard.router, *yard.nics}
    yard.wall.delete_vm(yard.wall.vms[0])
    yard.reconciler.step()
    assert yard.there().keys() == yard.nodes() == {yard.router, yard.nics[1]}


def test_a_host_that_lost_its_nodes_gets_them_again(yard: Yard) -> None:
    yard.reconciler.step()
    before = yard.there()
    for host_id in yard.network.hosts():
        yard.network.lose(host_id)
    assert yard.there() == {}
    yard.reconciler.sweep()
    yard.reconciler.step()
    assert yard.there() == before


def test_a_host_that_booted_has_lost_them_too_and_a_silent_one_is_not_judged(yard: Yard) -> None:
    yard.reconciler.step()
    host_id = yard.there()[yard.nics[0]]
    yard.control.world.inject(Fault(Action.CRASH_HOST, host_id))
    yard.reconciler.sweep()
    assert yard.reconciler.step() == 0
    yard.control.clock.advance(60)
    yard.control.world.inject(Fault(Action.HEAL, host_id))
    assert yard.nics[0] not in yard.there()
    yard.reconciler.sweep()
    assert yard.reconciler.step() >= 1
    assert yard.there()[yard.nics[0]] == host_id


def test_what_nobody_wants_is_removed_and_what_nobody_marked_is_applied(yard: Yard) -> None:
    yard.reconciler.step()
    landscape = yard.network.landscape()
    nobody = Desired(type(yard.nics[0])(yard.nics[0].type, "nic-nobody"), 7, landscape.nics[yard.wall.nics[0]])
    yard.network.apply("host-sim-001", [nobody])
    with yard.control.database.platform(write=True) as session:
        session.delete(session.get_one(type(yard.row(yard.nics[1])), (yard.nics[1].type, yard.nics[1].id)))
    yard.reconciler.sweep()
    assert nobody.node not in yard.there()
    assert yard.nics[1] in yard.there()
    yard.reconciler.step()
    assert yard.row(yard.nics[1]).confirmed == yard.row(yard.nics[1]).wanted


def test_the_filters_of_a_vm_follow_it_to_another_host(yard: Yard) -> None:
    yard.reconciler.step()
    old = yard.there()[yard.nics[0]]
    new = next(host for host in yard.network.hosts() if host != old)
    with yard.control.database.platform(write=True) as session:
        session.execute(update(Vm).where(Vm.id == yard.wall.vms[0]).values(host_id=new))
    for _ in range(2):
        yard.reconciler.sweep()
        yard.reconciler.step()
    assert [host for host, found in yard.network.report([old, new]).items() if yard.nics[0] in found] == [new]


def test_only_a_highly_available_router_leaves_a_dead_host(yard: Yard) -> None:
    yard.reconciler.step()
    old = yard.there()[yard.router]
    yard.control.world.inject(Fault(Action.CRASH_HOST, old))
    with yard.control.database.platform(write=True) as session:
        session.execute(update(Host).where(Host.id == old).values(state=HostState.STOPPED))
        nodes.mark_routers(session, [yard.router.id])
    yard.reconciler.step()
    assert yard.router not in yard.there()
    with yard.control.database.platform(write=True) as session:
        session.execute(update(Router).values(standby_id="router-two"))
        nodes.mark_routers(session, [yard.router.id])
    yard.reconciler.step()
    assert yard.there()[yard.router] != old


def test_a_database_that_went_back_overtakes_what_its_hosts_have(yard: Yard) -> None:
    yard.reconciler.step()
    host_id, state = yard.there()[yard.nics[0]], yard.network.landscape().nics[yard.wall.nics[0]]
    yard.network.apply(host_id, [Desired(yard.nics[0], 50, state)])
    with yard.control.database.platform(write=True) as session:
        nodes.mark_nics(session, [yard.wall.nics[0]])
    yard.reconciler.step()
    assert yard.row(yard.nics[0]).confirmed == 51
    assert yard.network.apply(host_id, [Desired(yard.nics[0], 2, state)]) == {yard.nics[0]: Applied(51)}


def test_failures_of_hosts_and_vms_are_failures_of_their_nodes(yard: Yard) -> None:
    yard.control.world.inject(Fault(Action.FAIL_OPERATION, yard.wall.vms[0], Deed.NETWORK))
    yard.reconciler.step()
    assert yard.there().keys() == {yard.router, yard.nics[1]}
    host_id = yard.there()[yard.nics[1]]
    yard.control.world.inject(Fault(Action.CUT_LINK, host_id))
    with pytest.raises(Unreachable):
        yard.network.apply(host_id, [])


def test_back_ends_are_healthy_while_their_vm_runs_and_lets_the_router_in(yard: Yard) -> None:
    balancer = yard.wall.site.add()
    ids = [yard.wall.site.node(balancer, vm=number) for number in (0, 1)]
    group = yard.wall.group()
    yard.wall.bind(group, yard.wall.nics[1])
    yard.reconciler.step()
    yard.reconciler.look()
    assert {one.id: one.healthy for one in yard.wall.site.rows(BackEnd)} == {ids[0]: True, ids[1]: False}
    assert yard.try_outside(OUTER, 80)[0].by == balancer
    assert yard.try_outside(OUTER, 80)[-1].passed


def test_a_network_survives_its_process(yard: Yard) -> None:
    yard.wall.site.add()
    yard.reconciler.step()
    with a_yard(yard.wall) as again:
        assert again.there() == yard.there()
        assert again.network.landscape() == yard.network.landscape()
