"""Load balancers: making, changing, switching and deleting them, and their certificates.

The worst moment: half of a balancer, such as one whose nodes could not be made. Everything is written in one
transaction, with the mark on its router; a refusal leaves nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Final

from annotated_types import Ge, Le, MaxLen, MinLen
from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.context import Context
from core.db.guarded import written
from core.errors import Conflict, Invalid, NotFound
from core.network import backends, balancers, certificates, listening, nodes, outer, routers
from core.network.backends import NewBackEnd
from core.network.balancer_rows import BackEnd, Balancer, BalancerCount, Balancing, Certificate, Policy, Side
from core.network.balancers import BalancerRef, FrontPort, Port
from core.network.listening import Front, Listening
from core.network.router_rows import Router, RouterState
from core.sealing import sealing_keys

_PATH: Final = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*")
"""Path and query of a URL (RFC 3986, 3.3 and 3.4)."""

_MOST_NODES: Final = 256
"""In one request."""

Retries = Annotated[int, Ge(2), Le(10)]
CheckSeconds = Annotated[int, Ge(1), Le(50)]
TimeoutSeconds = Annotated[int, Ge(1), Le(300)]
IdleSeconds = Annotated[int, Ge(1), Le(120)]
Connections = Annotated[int, Ge(10), Le(10_000)]
_Path = Annotated[str, MaxLen(255)]
_Pem = Annotated[str, MaxLen(65_536)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddBalancer:
    """A balancer on a router of the tenant. `id`: a free one that begins as its own would (`slb_` and the router's id).

    `node_port` None: as `port`. `path`, `check_path` (None: as `path`) go with requests only; a certificate and its key
    with `https` only, and there both are needed.
    """

    id: Annotated[str, MaxLen(64)] | None = None
    name: Annotated[str, MinLen(1), MaxLen(128)]
    description: Annotated[str, MaxLen(1024)] = ""
    tenant_id: Annotated[str, MaxLen(64)]
    router_id: Annotated[str, MaxLen(64)]
    protocol: Balancing
    side: Side
    ip: Annotated[str, MaxLen(64)]
    exclusive: bool = True
    port: FrontPort
    node_port: Port | None = None
    path: _Path = "/"
    policy: Policy = Policy.ROUND_ROBIN
    retries: Retries = 3
    check_seconds: CheckSeconds = 5
    timeout_seconds: TimeoutSeconds = 5
    idle_seconds: IdleSeconds = 60
    max_connections: Connections = 1000
    check_path: _Path | None = None
    certificate: _Pem | None = None
    certificate_key: _Pem | None = field(default=None, repr=False)
    nodes: Annotated[tuple[NewBackEnd, ...], MaxLen(_MOST_NODES)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeBalancer:
    """What is not given stays; an empty description clears it."""

    id: Annotated[str, MaxLen(64)]
    name: Annotated[str, MinLen(1), MaxLen(128)] | None = None
    description: Annotated[str, MaxLen(1024)] | None = None
    ip: Annotated[str, MaxLen(64)] | None = None
    exclusive: bool | None = None
    port: FrontPort | None = None
    policy: Policy | None = None
    retries: Retries | None = None
    check_seconds: CheckSeconds | None = None
    timeout_seconds: TimeoutSeconds | None = None
    idle_seconds: IdleSeconds | None = None
    check_path: _Path | None = None
    max_connections: Connections | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigureCertificate:
    """Both as PEM."""

    id: Annotated[str, MaxLen(64)]
    certificate: _Pem
    certificate_key: _Pem = field(repr=False)


def add(at: Context, want: AddBalancer) -> BalancerRef:
    """It listens at once, if the router does. Raises NotFound, Invalid, QuotaExceeded; Conflict while the router is
    being made, or when the id or a node is there twice."""
    pair = _pair_of(at, want)
    router = _router(at.session, want)
    id_ = _new_id(at.session, router, want.id)
    front = Front(want.side, want.ip, want.port, want.protocol.transport, want.exclusive)
    here = listening.claim(at, router, front, id_)
    requests = want.protocol.has_requests
    balancer = Balancer(
        id=id_, tenant_id=router.tenant_id, router_id=router.id, vpc_id=here.vpc_id, name=want.name,
        description=want.description, created_at=at.clock.now(), protocol=want.protocol, transport=front.transport,
        side=want.side, ip=here.ip, port=want.port, exclusive=here.exclusive, node_port=want.node_port or want.port,
        path=_checked(want.path, "path") if requests else "", policy=want.policy, retries=want.retries,
        check_seconds=want.check_seconds, timeout_seconds=want.timeout_seconds, idle_seconds=want.idle_seconds,
        check_path=_checked(want.check_path or want.path, "check_path") if requests else "",
        max_connections=want.max_connections,
    )  # fmt: skip
    at.session.add(balancer)
    at.session.flush()
    if pair is not None:
        _keep(at, balancer, pair)
    for node in want.nodes:
        backends.attach(at, balancer, node)
    nodes.mark_routers(at.session, [router.id])
    return BalancerRef(id=id_)


def modify(at: Context, want: ChangeBalancer) -> None:
    """Raises NotFound, Invalid, QuotaExceeded."""
    balancer = balancers.locked(at.session, want.id)
    balancer.name = want.name or balancer.name
    if want.description is not None:
        balancer.description = want.description
    if want.check_path is not None and balancer.protocol.has_requests:
        balancer.check_path = _checked(want.check_path, "check_path")
    for name in ("policy", "retries", "check_seconds", "timeout_seconds", "idle_seconds", "max_connections"):
        if (value := getattr(want, name)) is not None:
            setattr(balancer, name, value)
    _move(at, balancer, want)
    nodes.mark_routers(at.session, [balancer.router_id])


def delete(at: Context, ref: BalancerRef) -> None:
    """With its nodes and its certificate. Raises NotFound."""
    balancer = balancers.locked(at.session, ref.id)
    for kind in (BackEnd, Certificate):
        written(at.session, sql_delete(kind).where(kind.balancer_id == balancer.id))
    at.session.delete(balancer)
    listening.release(at.session, balancer.router_id, balancer.tenant_id, _here(balancer))
    nodes.mark_routers(at.session, [balancer.router_id])


def start(at: Context, ref: BalancerRef) -> None:
    """Starting what is started changes nothing. Raises NotFound."""
    _switch(at, ref, enabled=True)


def stop(at: Context, ref: BalancerRef) -> None:
    """It keeps its address. Stopping what is stopped changes nothing. Raises NotFound."""
    _switch(at, ref, enabled=False)


def configure_certificate(at: Context, want: ConfigureCertificate) -> None:
    """It takes the place of the one before. Raises NotFound, Invalid; Conflict when the balancer is not `https`."""
    balancer = balancers.locked(at.session, want.id)
    if balancer.protocol is not Balancing.HTTPS:
        raise Conflict("load balancer", balancer.id, f"has no certificate: its protocol is {balancer.protocol}")
    _keep(at, balancer, certificates.read(want.certificate, want.certificate_key, at.clock.now()))
    nodes.mark_routers(at.session, [balancer.router_id])


def _switch(at: Context, ref: BalancerRef, *, enabled: bool) -> None:
    balancer = balancers.locked(at.session, ref.id)
    if balancer.enabled is not enabled:
        balancer.enabled = enabled
        backends.forget_health(at.session, balancer.id)
        nodes.mark_routers(at.session, [balancer.router_id])


def _router(session: Session, want: AddBalancer) -> Router:
    """Locked, and its tenant, too."""
    known = routers.existing(session, want.router_id)
    if known.tenant_id != want.tenant_id:
        raise NotFound("tenant", want.tenant_id)
    outer.lock_tenant(session, known.tenant_id)
    router = outer.lock_router(session, known.id)
    if router.state is not RouterState.READY:
        raise Conflict("router", router.id, "is being created")
    return router


def _new_id(session: Session, router: Router, wanted: str | None) -> str:
    """`slb_<router>`, then `slb_<router>_2` and so on; numbers of deleted balancers are not used again."""
    first = f"slb_{router.id}"
    taken = set(session.scalars(select(Balancer.id).where(Balancer.router_id == router.id)))
    if wanted is not None:
        if not re.fullmatch(rf"{re.escape(first)}(_[A-Za-z0-9_-]+)?", wanted):
            raise Invalid("id", "does not begin with that of its router", f"{first}, or {first}_ and letters or digits")
        if wanted in taken:
            raise Conflict("load balancer", wanted, "exists already")
        return wanted
    count = session.get(BalancerCount, router.id) or BalancerCount(router_id=router.id, tenant_id=router.tenant_id)
    session.add(count)
    while True:
        count.made = (count.made or 0) + 1
        id_ = first if count.made == 1 else f"{first}_{count.made}"
        if id_ not in taken:
            return id_


def _pair_of(at: Context, want: AddBalancer) -> certificates.Pair | None:
    given = {"certificate": want.certificate, "certificate_key": want.certificate_key}
    if want.protocol is not Balancing.HTTPS:
        for name, text in given.items():
            if text is not None:
                raise Invalid(name, f"does not go with {want.protocol}", "nothing, or https as the protocol")
        return None
    for name, text in given.items():
        if text is None:
            raise Invalid(name, "is missing", "a certificate and its key, for https")
    return certificates.read(want.certificate or "", want.certificate_key or "", at.clock.now())


def _keep(at: Context, balancer: Balancer, pair: certificates.Pair) -> None:
    known = at.session.get(Certificate, balancer.id)
    row = known or Certificate(balancer_id=balancer.id, tenant_id=balancer.tenant_id)
    row.chain, row.starts_at, row.ends_at = pair.chain, pair.starts_at, pair.ends_at
    row.key = sealing_keys(at.settings).seal(pair.key, certificates.place(balancer.id))
    at.session.add(row)


def _move(at: Context, balancer: Balancer, want: ChangeBalancer) -> None:
    """To another address or port, or to the same one exclusively or not."""
    if want.ip is None and want.port is None and want.exclusive is None:
        return
    was = _here(balancer)
    front = Front(
        balancer.side, want.ip or was.ip, want.port or balancer.port, balancer.transport,
        was.exclusive if want.exclusive is None else want.exclusive,
    )  # fmt: skip
    router = outer.lock_router(at.session, balancer.router_id)
    here = listening.claim(at, router, front, balancer.id)
    balancer.ip, balancer.vpc_id, balancer.exclusive, balancer.port = here.ip, here.vpc_id, here.exclusive, front.port
    if here.ip != was.ip:
        listening.release(at.session, router.id, router.tenant_id, was)


def _here(balancer: Balancer) -> Listening:
    return Listening(balancer.ip, balancer.vpc_id, balancer.exclusive)


def _checked(path: str, name: str) -> str:
    if not _PATH.fullmatch(path):
        raise Invalid(name, "is not the path of a URL", "a path such as /health, percent-encoded where it needs to be")
    return path
