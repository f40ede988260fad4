"""Packets and faults of the simulated network, by the control API and by the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from api.cli_sim import sim_app
from api.simulation.serve import Running, serving
from core.network.compile_nic import compile_nic
from core.network.compile_router import compile_router
from core.network.desired import Desired, Node
from core.network.intent import GroupIntent, MappingIntent, NicIntent
from core.network.node_rows import NodeType
from core.network.traffic import Protocol
from tests.support.intents import a_nic, a_router, rule

WEB = GroupIntent(id="group-web", rules=(rule("gr-1", protocol=Protocol.TCP, ports="80"),))
HOST = "host-sim-001"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """The first two VMs are in one network; the first one is in a group that allows port 80."""
    with serving(1, 2, 4, tmp_path, token="token-of-the-simulator") as up:
        first, second = [vm.id for vm in up.simulation.status().vms][:2]
        router = a_router()
        plain = [network for network in router.networks if not network.gate_open]
        mapping = MappingIntent(id="map-1", outer_ip="192.0.2.11", inner_ip="10.2.0.11")
        router = type(router)(
            id="router-1", wan_ip=router.wan_ip, outer=router.outer, networks=tuple(plain), mappings=(mapping,)
        )
        nics = [_nic("nic-1", first, "10.2.0.11", WEB), _nic("nic-2", second, "10.2.0.12")]
        wanted = [Desired(Node(NodeType.NIC, nic.id), 1, compile_nic(nic)) for nic in nics]
        wanted.append(Desired(Node(NodeType.ROUTER, "router-1"), 1, compile_router(router)))
        up.simulation.network.apply(HOST, wanted)
        yield up


def _nic(id_: str, vm_id: str, ip: str, *groups: GroupIntent) -> NicIntent:
    return a_nic(id=id_, vm_id=vm_id, ip=ip, vpc_id="vpc-b", gateway="10.2.0.1", groups=groups)


def _vms(running: Running) -> list[str]:
    return [vm.name for vm in running.simulation.status().vms]


def _cli(running: Running, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(sim_app, [*words, "--url", running.control_url, "--token", running.token])
    return result.exit_code, result.output


def test_a_ping_says_what_decides(running: Running) -> None:
    first, second, *_ = _vms(running)
    code, shown = _cli(running, "ping", second, first, "--port", "80")
    assert (code, "passed: gr-1 (nic nic-1)" in shown) == (0, True), shown
    code, shown = _cli(running, "ping", second, first, "--port", "81")
    assert (code, "not passed: no rule allows it in its security groups (nic nic-1)" in shown) == (1, True), shown
    code, shown = _cli(running, "ping", first, second)
    assert (code, "icmp 10.2.0.11 -> 10.2.0.12" in shown) == (0, True), shown


def test_a_ping_from_outside_takes_the_way_of_the_mapping(running: Running) -> None:
    first, second, *_ = _vms(running)
    for target in (first, "192.0.2.11"):
        code, shown = _cli(running, "ping", target, "--from-outside", "198.51.100.7", "--port", "80")
        assert (code, "map-1" in shown, "passed: gr-1" in shown) == (0, True, True), shown
    code, shown = _cli(running, "ping", second, "--from-outside", "198.51.100.7", "--port", "80")
    assert (code, "no outer IP is mapped" in shown) == (1, True), shown


def test_what_cannot_be_asked_is_refused_with_what_is_allowed(running: Running) -> None:
    first, second, third, *_ = _vms(running)
    wrong: list[tuple[dict[str, str], str]] = [
        ({"target": first, "source": "vm-nobody"}, "there is no simulated VM"),
        ({"target": first}, "source"),
        ({"target": first, "source": second, "protocol": "gre"}, "there is no 'gre'"),
        ({"target": first, "source": second, "protocol": "tcp"}, "port"),
        ({"target": first, "outside": "::1", "port": "80"}, "is not an IP address"),
        ({"target": first, "source": third}, "has no NIC in the simulated network"),
    ]
    for asked, problem in wrong:
        answer = httpx.get(
            f"{running.control_url}/simulation/ping",
            params=asked,
            headers={"KEY_TOKEN": running.token},
            trust_env=False,
        )
        assert 400 <= answer.status_code < 500
        assert problem in answer.json()["error"]


def test_a_node_is_broken_lost_and_healed_from_the_command_line(running: Running) -> None:
    network, node = running.simulation.network, Node(NodeType.ROUTER, "router-1")
    assert _cli(running, "fail-operation", "router-1")[0] == 0
    assert _cli(running, "lose-network", "router-1")[0] == 0
    assert node not in network.report([HOST])[HOST]
    assert network.knows("router-1")
    assert _cli(running, "heal")[0] == 0
    assert not network.knows("router-1")
    assert _cli(running, "lose-network", HOST)[0] == 0
    assert network.report([HOST]) == {HOST: {}}
    code, shown = _cli(running, "lose-network", "router-nobody")
    assert (code, "there is no simulated host or VM" in shown) == (1, True), shown
