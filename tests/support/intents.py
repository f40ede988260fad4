"""Intents to compile: a small site that has everything, and as large a tenant as is wanted."""

from __future__ import annotations

from core.network.balancer_rows import Balancing, Policy
from core.network.intent import (
    BackEndIntent,
    BalancerIntent,
    CertificateIntent,
    GroupIntent,
    GuestIntent,
    MappingIntent,
    NetworkIntent,
    NicIntent,
    OuterIntent,
    RouterIntent,
    RuleIntent,
)
from core.network.traffic import Blocks, Direction, PortSet, Protocol


def rule(
    id_: str, direction: Direction = Direction.IN, protocol: Protocol | None = None, ports: str = "", peers: str = ""
) -> RuleIntent:
    return RuleIntent(
        id=id_, direction=direction, protocol=protocol, ports=PortSet.parse(ports, "ports"),
        peers=Blocks.parse(peers, "peers"),
    )  # fmt: skip


WEB = GroupIntent(
    id="group-web", rules=(rule("gr-2", protocol=Protocol.ICMP), rule("gr-1", protocol=Protocol.TCP, ports="80,443"))
)
OPS = GroupIntent(
    id="group-ops",
    rules=(
        rule("gr-4", Direction.OUT, Protocol.TCP, "443", "198.51.100.0/24"),
        rule("gr-3", protocol=Protocol.TCP, ports="22", peers="10.1.0.0/24,192.0.2.7"),
    ),
)


def a_nic(**more: object) -> NicIntent:
    wish: dict[str, object] = {
        "id": "nic-1", "vm_id": "vm-1", "device": "tap1", "mac": "52:00:00:00:00:01", "ip": "10.1.0.11",
        "vpc_id": "vpc-a", "gateway": "10.1.0.1", **more,
    }  # fmt: skip
    return NicIntent(**wish)  # type: ignore[arg-type]


def guarded_nic() -> NicIntent:
    inner = (rule("rule-9", protocol=Protocol.TCP, ports="80:83,85"), rule("rule-8", Direction.OUT, peers="10.0.0.0/8"))
    return a_nic(groups=(WEB, OPS), rules=inner, firewall_enabled=True)


def a_router() -> RouterIntent:
    guests = (
        GuestIntent(nic_id="nic-2", mac="52:00:00:00:00:02", ip="10.1.0.12", host_name="Web Server 1"),
        GuestIntent(
            nic_id="nic-1", mac="52:00:00:00:00:01", ip="10.1.0.11", host_name="web-server-1",
            rules=(rule("rule-2", Direction.OUT, Protocol.UDP, "53"), rule("rule-1", Direction.IN, Protocol.TCP, "80")),
        ),
        GuestIntent(nic_id="nic-3", mac="52:00:00:00:00:03", ip="10.1.0.13", host_name="数据库"),
    )  # fmt: skip
    return RouterIntent(
        id="router-1", wan_ip="192.0.2.10",
        outer=tuple(
            OuterIntent(ip=ip, netmask="255.255.255.0", gateway="192.0.2.1")
            for ip in ("192.0.2.12", "192.0.2.10", "192.0.2.11")
        ),
        networks=(
            NetworkIntent(vpc_id="vpc-b", cidr="10.2.0.0/24", gateway="10.2.0.1"),
            NetworkIntent(vpc_id="vpc-a", cidr="10.1.0.0/24", gateway="10.1.0.1", gate_open=True, guests=guests),
        ),
        mappings=(
            MappingIntent(
                id="map-2", outer_ip="192.0.2.12", inner_ip="10.1.0.12", protocol=Protocol.TCP, outer_port=8080,
                inner_port=80, sources=Blocks.parse("198.51.100.0/24", "sources"),
            ),
            MappingIntent(id="map-1", outer_ip="192.0.2.11", inner_ip="10.1.0.11"),
        ),
        balancers=(_balancer("slb-2", enabled=False), _balancer("slb-1", enabled=True)),
    )  # fmt: skip


def _balancer(id_: str, *, enabled: bool) -> BalancerIntent:
    return BalancerIntent(
        id=id_, enabled=enabled, protocol=Balancing.HTTPS, ip="192.0.2.10", port=443,
        policy=Policy.WEIGHTED_ROUND_ROBIN, retries=3, check_seconds=5, timeout_seconds=5, idle_seconds=60,
        max_connections=1000, path="/", check_path="/health",
        certificate=CertificateIntent(chain="CHAIN", key="PRIVATE KEY"),
        back_ends=(
            BackEndIntent(id="node-2", ip="10.1.0.13", port=80, weight=2),
            BackEndIntent(id="node-1", ip="10.1.0.12", port=80, weight=1),
        ),
    )  # fmt: skip


def a_tenant(nics: int, rules: int, changed: int = 0) -> tuple[list[NicIntent], RouterIntent]:
    """Half of the rules are of 50 groups, two for each NIC; three tenths are inner rules, a fifth is at the boundary.
    `changed` of the groups have another rule."""
    groups = [_large_group(number, rules // 100, 1 if number < changed else 0) for number in range(50)]
    made = [_nic_of_many(number, groups, rules * 3 // 10 // nics) for number in range(nics)]
    blocks = range((nics + 249) // 250)
    networks = tuple(_large_network(f"vpc-{block}", block, made, rules // 5 // nics) for block in blocks)
    return made, RouterIntent(id="router-1", wan_ip="203.0.113.1", networks=networks)


def _large_group(number: int, size: int, shift: int) -> GroupIntent:
    """`shift`: of the port of its first rule."""
    ports = [1000 + one + (shift if one == 0 else 0) for one in range(size)]
    peers = f"10.{number}.0.0/16"
    made = (rule(f"gr-{number}-{n}", Direction.IN, Protocol.TCP, str(port), peers) for n, port in enumerate(ports))
    return GroupIntent(id=f"group-{number}", rules=tuple(made))


def _nic_of_many(number: int, groups: list[GroupIntent], inner: int) -> NicIntent:
    lines = (rule(f"in-{number}-{n}", protocol=Protocol.UDP, ports=f"{n + 1}:{n + 9}") for n in range(inner))
    return a_nic(
        id=f"nic-{number}", vm_id=f"vm-{number}", ip=f"10.{number // 250}.{number % 250}.9",
        vpc_id=f"vpc-{number // 250}", groups=(groups[number % 50], groups[(number + 5) % 50]), firewall_enabled=True,
        rules=tuple(lines),
    )  # fmt: skip


def _large_network(vpc_id: str, block: int, nics: list[NicIntent], outer: int) -> NetworkIntent:
    guests = tuple(
        GuestIntent(
            nic_id=nic.id, mac=nic.mac, ip=nic.ip, host_name=nic.vm_id,
            rules=tuple(rule(f"net-{nic.id}-{n}", peers="192.0.2.0/24") for n in range(outer)),
        )
        for nic in nics
        if nic.vpc_id == vpc_id
    )  # fmt: skip
    return NetworkIntent(
        vpc_id=vpc_id, cidr=f"10.{block}.0.0/16", gateway=f"10.{block}.255.254", gate_open=True, guests=guests
    )
