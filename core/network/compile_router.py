"""From intent to the desired state of a router: addresses, NAT, boundary rules, load balancers, DHCP and DNS. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from core.network.balancer_rows import Balancing
from core.network.compile_nic import inbound, outbound
from core.network.desired import (
    Check,
    GateFilter,
    IpNat,
    Leg,
    Listener,
    OuterAddress,
    PortNat,
    Reservation,
    RouterState,
    Target,
    TlsCertificate,
)
from core.network.intent import BalancerIntent, GuestIntent, MappingIntent, NetworkIntent, OuterIntent, RouterIntent

_LONGEST_LABEL: Final = 63
_NOT_IN_LABELS: Final = re.compile(r"[^a-z0-9]+")


def compile_router(router: RouterIntent) -> RouterState:
    """A balancer that is switched off is not there."""
    ports = (_port_nat(mapping) for mapping in router.mappings if mapping.protocol is not None)
    return RouterState(
        wan_ip=router.wan_ip,
        outer=tuple(_outer(one) for one in sorted(router.outer, key=lambda one: IPv4Address(one.ip))),
        legs=tuple(_leg(network) for network in sorted(router.networks, key=lambda network: network.vpc_id)),
        ip_nat=tuple(
            IpNat(mapping.id, mapping.outer_ip, mapping.inner_ip)
            for mapping in sorted(router.mappings, key=lambda mapping: IPv4Address(mapping.outer_ip))
            if mapping.protocol is None
        ),
        port_nat=tuple(sorted(ports, key=lambda nat: (IPv4Address(nat.outer_ip), nat.protocol, nat.outer_port))),
        listeners=tuple(
            _listener(balancer)
            for balancer in sorted(router.balancers, key=lambda balancer: balancer.id)
            if balancer.enabled
        ),
    )


def _outer(one: OuterIntent) -> OuterAddress:
    return OuterAddress(one.ip, IPv4Network((0, one.netmask)).prefixlen, one.gateway)


def _leg(network: NetworkIntent) -> Leg:
    guests = sorted(network.guests, key=lambda guest: IPv4Address(guest.ip))
    gate = tuple(
        GateFilter(guest.nic_id, guest.ip, inbound(guest.rules), outbound(guest.rules))
        for guest in guests
        if guest.rules
    )
    return Leg(
        vpc_id=network.vpc_id, cidr=network.cidr, gateway=network.gateway,
        gate=gate if network.gate_open else None, reservations=tuple(_reservations(guests)),
    )  # fmt: skip


def _reservations(guests: Iterable[GuestIntent]) -> Iterable[Reservation]:
    """VMs of one name, and NICs of one VM, are told apart by their address."""
    taken: set[str] = set()
    for guest in guests:
        name = _label(guest.host_name)
        if not name or name in taken:
            address = guest.ip.replace(".", "-")
            name = f"{name[: _LONGEST_LABEL - len(address) - 1]}-{address}" if name else f"ip-{address}"
        taken.add(name)
        yield Reservation(guest.nic_id, guest.mac, guest.ip, name)


def _label(name: str) -> str:
    """What people call a VM, as a label of a DNS name (RFC 1123); empty when nothing of it can be one."""
    return _NOT_IN_LABELS.sub("-", name.lower()).strip("-")[:_LONGEST_LABEL].rstrip("-")


def _port_nat(mapping: MappingIntent) -> PortNat:
    assert mapping.protocol is not None
    assert mapping.outer_port is not None
    assert mapping.inner_port is not None
    return PortNat(
        mapping.id, mapping.protocol, mapping.outer_ip, mapping.outer_port, mapping.inner_ip, mapping.inner_port,
        mapping.sources,
    )  # fmt: skip


def _listener(balancer: BalancerIntent) -> Listener:
    targets = (Target(one.id, one.ip, one.port, one.weight) for one in balancer.back_ends)
    certificate = None
    if balancer.protocol is Balancing.HTTPS and balancer.certificate is not None:
        certificate = TlsCertificate(balancer.certificate.chain, balancer.certificate.key)
    requests = balancer.protocol.has_requests
    return Listener(
        balancer_id=balancer.id, protocol=balancer.protocol, ip=balancer.ip, port=balancer.port, policy=balancer.policy,
        check=Check(
            balancer.retries, balancer.check_seconds, balancer.timeout_seconds,
            balancer.check_path if requests else "",
        ),
        idle=balancer.idle_seconds, max_connections=balancer.max_connections, path=balancer.path if requests else "",
        certificate=certificate, targets=tuple(sorted(targets, key=lambda one: (IPv4Address(one.ip), one.port))),
    )  # fmt: skip
