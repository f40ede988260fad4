"""What is wanted of routers, from the inventory: some queries, whatever their number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.compute.rows import Nic, Vm
from core.db.session import of_every_kind
from core.network import certificates
from core.network.balancer_rows import BackEnd, Balancer, Certificate
from core.network.filter_rows import Boundary
from core.network.intent import (
    BackEndIntent,
    BalancerIntent,
    CertificateIntent,
    GuestIntent,
    MappingIntent,
    NetworkIntent,
    OuterIntent,
    RouterIntent,
)
from core.network.outer_rows import NatMapping, OuterIp, OuterPool, PoolIp
from core.network.reading_nics import blocks, rules_of
from core.network.router_rows import Router, RouterState, RouterVpc
from core.network.rows import Vpc
from core.network.traffic import Protocol
from core.sealing import SealingKeys

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RouterFound:
    """`movable`: it is highly available, and goes on elsewhere when its host dies."""

    intent: RouterIntent
    movable: bool


def read_routers(session: Session, router_ids: Collection[str], keys: SealingKeys) -> dict[str, RouterFound]:
    """By router id. One that is gone, or not ready yet, is absent. Raises Unsealable."""
    ready = select(Router).where(Router.id.in_(router_ids), Router.state == RouterState.READY)
    routers = session.scalars(ready).all()
    ids = [router.id for router in routers]
    outer, networks, mappings = _outer(session, ids), _networks(session, ids), _mappings(session, ids)
    balancers = _balancers(session, ids, keys)
    own = select(OuterIp.router_id, OuterIp.ip).where(OuterIp.router_id.in_(ids), OuterIp.is_wan)
    wan = {router_id: ip for router_id, ip in session.execute(own)}
    return {
        router.id: RouterFound(
            RouterIntent(
                id=router.id, wan_ip=wan[router.id], outer=tuple(outer[router.id]), networks=tuple(networks[router.id]),
                mappings=tuple(mappings[router.id]), balancers=tuple(balancers[router.id]),
            ),
            movable=router.standby_id is not None,
        )
        for router in routers
    }  # fmt: skip


def _outer(session: Session, ids: Collection[str]) -> Mapping[str, list[OuterIntent]]:
    found: defaultdict[str, list[OuterIntent]] = defaultdict(list)
    held = select(OuterIp.router_id, OuterIp.ip, OuterPool.netmask, OuterPool.gateway)
    pooled = held.join(PoolIp, PoolIp.ip == OuterIp.ip).join(OuterPool, OuterPool.id == PoolIp.pool_id)
    for router_id, ip, netmask, gateway in session.execute(pooled.where(OuterIp.router_id.in_(ids))):
        found[router_id].append(OuterIntent(ip=ip, netmask=netmask, gateway=gateway))
    return found


def _networks(session: Session, ids: Collection[str]) -> Mapping[str, list[NetworkIntent]]:
    attached = (
        select(RouterVpc.router_id, Vpc).join(Vpc, Vpc.id == RouterVpc.vpc_id).where(RouterVpc.router_id.in_(ids))
    )
    legs = session.execute(attached).all()
    guests = _guests(session, [vpc.id for _, vpc in legs])
    found: defaultdict[str, list[NetworkIntent]] = defaultdict(list)
    for router_id, vpc in legs:
        found[router_id].append(
            NetworkIntent(
                vpc_id=vpc.id, cidr=vpc.cidr, gateway=vpc.gateway, gate_open=vpc.gate_open,
                guests=tuple(guests.get(vpc.id, ())),
            )
        )  # fmt: skip
    return found


def _guests(session: Session, vpc_ids: Collection[str]) -> Mapping[str, list[GuestIntent]]:
    every = of_every_kind(select(Nic.vpc_id, Nic.id, Nic.mac, Nic.ip, Vm.name))
    plugged = every.join(Vm, Vm.id == Nic.vm_id)
    nics = session.execute(plugged.where(Nic.vpc_id.in_(vpc_ids), Nic.ip != "")).all()
    rules = rules_of(session, [nic_id for _, nic_id, *_ in nics], Boundary.NETWORK)
    found: defaultdict[str, list[GuestIntent]] = defaultdict(list)
    for vpc_id, nic_id, mac, ip, name in nics:
        if vpc_id is not None:
            guest = GuestIntent(nic_id=nic_id, mac=mac, ip=ip, host_name=name, rules=tuple(rules.get(nic_id, ())))
            found[vpc_id].append(guest)
    return found


def _mappings(session: Session, ids: Collection[str]) -> Mapping[str, list[MappingIntent]]:
    found: defaultdict[str, list[MappingIntent]] = defaultdict(list)
    for mapping in session.scalars(select(NatMapping).where(NatMapping.router_id.in_(ids))):
        found[mapping.router_id].append(
            MappingIntent(
                id=mapping.id, outer_ip=mapping.outer_ip, inner_ip=mapping.inner_ip, outer_port=mapping.outer_port,
                protocol=None if mapping.protocol is None else Protocol(mapping.protocol),
                inner_port=mapping.inner_port, sources=blocks(mapping.sources),
            )
        )  # fmt: skip
    return found


def _balancers(session: Session, ids: Collection[str], keys: SealingKeys) -> Mapping[str, list[BalancerIntent]]:
    balancers = session.scalars(select(Balancer).where(Balancer.router_id.in_(ids))).all()
    mine = [balancer.id for balancer in balancers]
    nodes = _by(session.scalars(select(BackEnd).where(BackEnd.balancer_id.in_(mine))), lambda one: one.balancer_id)
    held = session.scalars(select(Certificate).where(Certificate.balancer_id.in_(mine)))
    given = {one.balancer_id: _certificate(one, keys) for one in held}
    found: defaultdict[str, list[BalancerIntent]] = defaultdict(list)
    for one in balancers:
        found[one.router_id].append(
            BalancerIntent(
                id=one.id, enabled=one.enabled, protocol=one.protocol, ip=one.ip, port=one.port, policy=one.policy,
                retries=one.retries, check_seconds=one.check_seconds, timeout_seconds=one.timeout_seconds,
                idle_seconds=one.idle_seconds, max_connections=one.max_connections, path=one.path,
                check_path=one.check_path, certificate=given.get(one.id),
                back_ends=tuple(
                    BackEndIntent(id=node.id, ip=node.ip, port=node.port, weight=node.weight)
                    for node in nodes.get(one.id, ())
                ),
            )
        )  # fmt: skip
    return found


def _certificate(row: Certificate, keys: SealingKeys) -> CertificateIntent:
    return CertificateIntent(chain=row.chain, key=keys.open(row.key, certificates.place(row.balancer_id)))


def _by(rows: Iterable[T], key: Callable[[T], str]) -> dict[str, list[T]]:
    found: defaultdict[str, list[T]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found
