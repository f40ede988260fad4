"""Addresses of subnets: taken for NICs, given back with them.

The race: two NICs that are both given the lowest free address. Whoever takes some locks the subnet's row first (SQLite:
the one write transaction), and the primary key of `address` is the referee whatever happens.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from itertools import islice

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from core.db.guarded import written
from core.db.search import exactly, only
from core.errors import Conflict
from core.network.rows import Address, Vpc


def locked_network(vpc_id: str) -> Select[Vpc]:
    """The network as it is now; nobody takes its addresses, attaches or closes it until the transaction ends."""
    return select(Vpc).where(*exactly(Vpc.id, vpc_id)).with_for_update().execution_options(populate_existing=True)


def take(session: Session, vpc_id: str, nic_ids: Sequence[str]) -> dict[str, str]:
    """The lowest free address for each NIC; all or none. Raises NotFound, Conflict when there are not enough."""
    vpc = only(session, locked_network(vpc_id), "private network", vpc_id)
    taken = set(session.scalars(select(Address.ip).where(Address.vpc_id == vpc.id)))
    hosts = (str(ip) for ip in ipaddress.IPv4Network(vpc.cidr).hosts())
    free = list(islice((ip for ip in hosts if ip not in taken and ip != vpc.gateway), len(nic_ids)))
    if len(free) < len(nic_ids):
        raise Conflict("private network", vpc.id, f"has only {len(free)} free addresses, {len(nic_ids)} are needed")
    given = dict(zip(nic_ids, free, strict=True))
    session.add_all(
        Address(vpc_id=vpc.id, ip=ip, tenant_id=vpc.tenant_id, nic_id=nic_id) for nic_id, ip in given.items()
    )
    session.flush()
    return given


def give_back(session: Session, nic_ids: Collection[str]) -> None:
    """Giving back none is no error."""
    gone = delete(Address).where(Address.nic_id.in_(nic_ids))
    written(session, gone)


def usable(cidr: str, taken: int) -> int:
    """How many more NICs the subnet takes: its hosts without the gateway and without those that are taken."""
    return ipaddress.IPv4Network(cidr).num_addresses - 3 - taken


def taken_of(session: Session, vpc_ids: Collection[str]) -> dict[str, int]:
    """How many addresses are taken, of subnets that have some."""
    counts = select(Address.vpc_id, func.count()).where(Address.vpc_id.in_(vpc_ids)).group_by(Address.vpc_id)
    return {vpc_id: count for vpc_id, count in session.execute(counts)}
