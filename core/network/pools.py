"""Pools of outer IPs: adding, listing and deleting them. For the platform only.

The race: an address that is taken while its pool is being deleted. The pool and its addresses are locked first, and
who takes one refers to it: either the taker finds it gone, or the pool finds it taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Final

from annotated_types import MaxLen
from sqlalchemy import delete as sql_delete
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from core.context import Context, Page
from core.db.search import exactly, only, page
from core.errors import Conflict, Invalid
from core.ids import new_id
from core.naming import some
from core.network import traffic
from core.network.outer_rows import OuterIp, OuterPool, PoolIp
from core.network.router_rows import Router
from core.network.traffic import Blocks
from core.paging import Paged

LARGEST: Final = 4096
"""Addresses of one pool."""

_ADDRESSES: Final = "a block or a range of IPv4 addresses, such as 192.0.2.0/24 or 192.0.2.10-192.0.2.99"
_NETMASK: Final = "a netmask such as 255.255.255.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddPool:
    """`addresses`: a block, a range or one address, of the network that `gateway` and `netmask` say. The gateway and
    the ends of that network are left out. `netmask`: by default the one of the block."""

    addresses: Annotated[str, MaxLen(64)]
    gateway: Annotated[str, MaxLen(64)]
    netmask: Annotated[str, MaxLen(15)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRef:
    """One pool."""

    id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindPools(Paged):
    """All pools."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolDetails:
    """`size` addresses, from `first` to `last`, of which `taken` are in use."""

    id: str
    first: str
    last: str
    gateway: str
    netmask: str
    size: int
    taken: int
    created_at: datetime


def add(at: Context, want: AddPool) -> PoolDetails:
    """Raises Invalid; Conflict when a pool has some of the addresses already."""
    first, last, block = _span(want.addresses)
    network = _network(traffic.address(want.gateway, "gateway"), want.netmask, block)
    if first not in network or last not in network:
        raise Invalid("addresses", f"{want.addresses} is not in {network}", "addresses of the gateway's network")
    private = at.settings.vpc_supernet
    if network.overlaps(IPv4Network(private)):
        raise Invalid("addresses", f"{network} overlaps private networks", f"addresses outside {private}")
    if int(last) - int(first) >= LARGEST + 2:
        raise Invalid("addresses", f"{want.addresses} is too large", f"at most {LARGEST} addresses")
    left_out = {network.network_address, network.broadcast_address, IPv4Address(want.gateway.strip())}
    wanted = [ip for number in range(int(first), int(last) + 1) if (ip := IPv4Address(number)) not in left_out]
    if not wanted:
        raise Invalid("addresses", f"{want.addresses} has no usable address", _ADDRESSES)
    return _insert(at, wanted, network, str(IPv4Address(want.gateway.strip())))


def search(at: Context, find: FindPools) -> Page[PoolDetails]:
    """Pools, newest first."""
    size = select(func.count()).where(PoolIp.pool_id == OuterPool.id).correlate(OuterPool).scalar_subquery()
    held = select(func.count()).join(PoolIp, PoolIp.ip == OuterIp.ip).where(PoolIp.pool_id == OuterPool.id)
    columns = select(OuterPool, size, held.select_from(OuterIp).correlate(OuterPool).scalar_subquery())
    found = page(at, columns, find, order=(OuterPool.created_at.desc(), OuterPool.id))
    return Page(tuple(_details(pool, size, taken) for pool, size, taken in found.rows), found.total)


def delete(at: Context, ref: PoolRef) -> None:
    """Raises NotFound; Conflict while some of its addresses are in use, naming them and their routers."""
    mine = select(OuterPool).where(*exactly(OuterPool.id, ref.id)).with_for_update()
    pool = only(at.session, mine, "pool", ref.id)
    own = select(PoolIp.ip).where(PoolIp.pool_id == pool.id).order_by(PoolIp.number)
    ips = at.session.scalars(own.with_for_update()).all()
    held = select(OuterIp.ip, Router.name).join(Router, Router.id == OuterIp.router_id).where(OuterIp.ip.in_(ips))
    if users := [f"{ip} ({router})" for ip, router in at.session.execute(held.order_by(OuterIp.ip))]:
        raise Conflict("pool", pool.id, f"its addresses are in use: {some(users)}")
    at.session.execute(sql_delete(PoolIp).where(PoolIp.pool_id == pool.id))
    at.session.delete(pool)
    at.session.flush()


def _span(text: str) -> tuple[IPv4Address, IPv4Address, IPv4Network | None]:
    """The first and the last address, and the block, when it is one."""
    begin, dash, end = text.partition("-")
    if dash:
        first, last = (IPv4Address(traffic.address(part, "addresses")) for part in (begin, end))
        if first > last:
            raise Invalid("addresses", f"{text} ends before it begins", _ADDRESSES)
        return first, last, None
    blocks = Blocks.parse(text, "addresses").networks
    if len(blocks) != 1:
        raise Invalid("addresses", f"{text} is not one block", _ADDRESSES)
    (block,) = blocks
    return block[0], block[-1], block if "/" in text else None


def _network(gateway: str, netmask: str | None, block: IPv4Network | None) -> IPv4Network:
    """The outer network that the gateway is in."""
    if netmask is None and block is None:
        raise Invalid("netmask", "is missing", _NETMASK)
    mask = str(block.netmask) if netmask is None and block is not None else netmask
    try:
        network = IPv4Network((gateway, mask), strict=False)
    except ValueError:
        raise Invalid("netmask", f"{mask} is not a netmask", _NETMASK) from None
    if str(network.netmask) != mask or not 8 <= network.prefixlen <= 30:
        raise Invalid("netmask", f"{mask} is not a netmask", _NETMASK)
    if gateway in {str(network.network_address), str(network.broadcast_address)}:
        raise Invalid("gateway", f"{gateway} is an end of {network}", f"an address inside {network}")
    return network


def _insert(at: Context, wanted: Sequence[IPv4Address], network: IPv4Network, gateway: str) -> PoolDetails:
    pool = OuterPool(
        id=new_id("pool"), created_at=at.clock.now(), first=str(wanted[0]), last=str(wanted[-1]), gateway=gateway,
        netmask=str(network.netmask),
    )  # fmt: skip
    within = PoolIp.number.between(int(wanted[0]), int(wanted[-1]))
    known = at.session.execute(select(PoolIp.ip, PoolIp.pool_id).where(within).order_by(PoolIp.number).limit(1)).first()
    if known is not None:
        raise Conflict("pool", known.pool_id, f"has {known.ip} already")
    try:
        with at.session.begin_nested():
            at.session.add(pool)
            at.session.flush()
            at.session.add_all(PoolIp(ip=str(ip), number=int(ip), pool_id=pool.id) for ip in wanted)
    except IntegrityError:
        raise Conflict("pool", pool.id, "another pool with some of its addresses was added at the same time") from None
    return _details(pool, len(wanted), 0)


def _details(pool: OuterPool, size: int, taken: int) -> PoolDetails:
    return PoolDetails(
        id=pool.id, first=pool.first, last=pool.last, gateway=pool.gateway, netmask=pool.netmask, size=size,
        taken=taken, created_at=pool.created_at,
    )  # fmt: skip
