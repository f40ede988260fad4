"""Where load balancers listen: which addresses of a router they may have, beside what else uses them.

An outer address is taken from the pools and given back by `core.network.outer`. An inner one is the gateway of a
network of the router, or an address that no NIC has: it is then held by the router, so that no NIC gets it. The races
are closed by locks: the tenant and the router are locked by the caller, a network before an address of it is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.context import Context
from core.db.guarded import written
from core.errors import Invalid
from core.network import outer, traffic
from core.network.balancer_rows import Balancer, Side
from core.network.outer_rows import NatMapping, NatType, Transport
from core.network.router_rows import Router, RouterVpc
from core.network.rows import Address, Vpc

_GATEWAY_SERVES: Final = frozenset({(53, Transport.TCP), (53, Transport.UDP), (67, Transport.UDP)})
"""DNS and DHCP for the networks of the router."""

_UNUSED: Final = "an outer IP that nothing uses, or not exclusively"
_INNER: Final = "the gateway, or a free address, of a private network that is attached to the router"
_FREE_PORT: Final = "a port of the address that nothing uses"


@dataclass(frozen=True, slots=True)
class Front:
    """What a balancer is to listen on. `exclusive` says nothing of an inner address."""

    side: Side
    ip: str
    port: int
    transport: Transport
    exclusive: bool


@dataclass(frozen=True, slots=True)
class Listening:
    """What it listens on. `vpc_id` None: an outer address."""

    ip: str
    vpc_id: str | None
    exclusive: bool


def claim(at: Context, router: Router, front: Front, balancer_id: str) -> Listening:
    """The address is the balancer's to listen on; it may have it already. Raises Invalid, naming `ip` or `port`;
    QuotaExceeded."""
    if front.side is Side.INNER:
        ip = traffic.address(front.ip, "ip")
        vpc = _network_of(at.session, router, ip)
        if ip == vpc.gateway:
            _refuse_own_port(front)
        else:
            _hold(at.session, router, vpc.id, ip)
        listening = Listening(ip, vpc.id, exclusive=False)
    else:
        held = outer.hold(at, router, NatType.PORT, front.ip, "ip")
        if held.is_wan and front.exclusive:
            raise Invalid("ip", f"{held.ip} is the address of its router", _UNUSED)
        _refuse_mapped(at.session, held.ip, front)
        listening = Listening(held.ip, None, front.exclusive)
    _refuse_balanced(at.session, listening, front, balancer_id)
    return listening


def release(session: Session, router_id: str, tenant_id: str, was: Listening) -> None:
    """No balancer of these listens there any more: the address is free if nothing else uses it."""
    session.flush()
    if was.vpc_id is None:
        outer.give_back_unused(session, tenant_id, [was.ip])
    elif not session.scalars(select(Balancer.id).where(Balancer.ip == was.ip)).all():
        own = (Address.vpc_id == was.vpc_id, Address.ip == was.ip, Address.nic_id == router_id)
        written(session, delete(Address).where(*own))


def _network_of(session: Session, router: Router, ip: str) -> Vpc:
    """The network of an inner address, locked."""
    attached = select(RouterVpc.vpc_id).where(RouterVpc.router_id == router.id)
    for vpc in session.scalars(select(Vpc).where(Vpc.id.in_(attached))):
        network = IPv4Network(vpc.cidr)
        if IPv4Address(ip) in network:
            if ip in {str(network.network_address), str(network.broadcast_address)}:
                raise Invalid("ip", f"{ip} is no address of a host", _INNER)
            session.execute(select(Vpc.id).where(Vpc.id == vpc.id).with_for_update())
            return vpc
    raise Invalid("ip", f"{ip} is in no network of the router", _INNER)


def _hold(session: Session, router: Router, vpc_id: str, ip: str) -> None:
    holder = session.scalar(select(Address.nic_id).where(Address.vpc_id == vpc_id, Address.ip == ip))
    if holder is None:
        session.add(Address(vpc_id=vpc_id, ip=ip, tenant_id=router.tenant_id, nic_id=router.id))
        session.flush()
    elif holder != router.id:
        raise Invalid("ip", f"{ip} is the address of a NIC", _INNER)


def _refuse_own_port(front: Front) -> None:
    if (front.port, front.transport) in _GATEWAY_SERVES:
        raise Invalid("port", f"the router itself serves {front.port}/{front.transport}", _FREE_PORT)


def _refuse_mapped(session: Session, ip: str, front: Front) -> None:
    mapped: Sequence[NatMapping] = session.scalars(select(NatMapping).where(NatMapping.outer_ip == ip)).all()
    if mapped and front.exclusive:
        raise Invalid("ip", f"{ip} has ports in use", _UNUSED)
    for one in mapped:
        if (one.outer_port, one.protocol) == (front.port, front.transport):
            inner = f"{one.inner_ip}:{one.inner_port}"
            raise Invalid("port", f"{front.port}/{front.transport} of {ip} is mapped to {inner} already", _FREE_PORT)


def _refuse_balanced(session: Session, here: Listening, front: Front, balancer_id: str) -> None:
    others = select(Balancer).where(Balancer.ip == here.ip, Balancer.id != balancer_id).order_by(Balancer.id)
    for other in session.scalars(others):
        if (other.port, other.transport) == (front.port, front.transport):
            taken = f"load balancer {other.name} listens on {front.port}/{front.transport} of {here.ip}"
            raise Invalid("port", taken, _FREE_PORT)
        if other.exclusive:
            raise Invalid("ip", f"{here.ip} is used by load balancer {other.name} alone", "an address that it shares")
        if here.exclusive:
            raise Invalid("ip", f"{here.ip} is used by load balancer {other.name}", _UNUSED)
