"""Physical hosts: registering, finding, maintaining and forgetting them. For the platform only."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

from annotated_types import MaxLen, MinLen
from sqlalchemy import select

from core.compute.rows import Vm
from core.context import Context, Page
from core.db.search import exactly, only, page
from core.db.session import of_every_kind
from core.errors import Conflict, Invalid
from core.hosts import rows
from core.hosts.rows import HostState, Origin
from core.ids import new_id
from core.naming import some
from core.paging import Paged


@dataclass(frozen=True, slots=True, kw_only=True)
class FindHosts(Paged):
    """Both filters are exact, and both must hold."""

    id: Annotated[str, MaxLen(64)] | None = None
    address: Annotated[str, MaxLen(64)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterHost:
    """`exporter_url`: the page of the host's metrics; `vm_exporter_url`: that of its VMs, if it is another one."""

    name: Annotated[str, MinLen(1), MaxLen(128)]
    address: Annotated[str, MinLen(1), MaxLen(64)]
    exporter_url: Annotated[str, MinLen(1), MaxLen(512)]
    vm_exporter_url: Annotated[str, MaxLen(512)] | None = None
    description: Annotated[str, MaxLen(1024)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredHost:
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMaintenance:
    """`description` replaces the host's when it is given: why it is being maintained."""

    id: Annotated[str, MaxLen(64)]
    maintenance: bool
    description: Annotated[str, MaxLen(1024)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRef:
    """One host."""

    id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostDetails:
    """`registered` holds for every host in the inventory. `memory_gb` has two decimals; the rest is what the exporter
    told.
    """

    id: str
    name: str
    description: str
    state: HostState
    connected: bool
    created_at: datetime
    address: str
    registered: bool
    maintenance: bool
    os_product: str
    os_bits: int
    kernel_version: str
    hypervisor_version: str
    cpu_vendor: str
    cpu_cores: int
    cpu_sockets: int
    memory_gb: float


def search(at: Context, find: FindHosts) -> Page[HostDetails]:
    """Hosts, newest first."""
    columns = select(rows.Host).where(*exactly(rows.Host.id, find.id), *exactly(rows.Host.address, find.address))
    found = page(at, columns, find, order=(rows.Host.created_at.desc(), rows.Host.id))
    return Page(tuple(_details(host) for (host,) in found.rows), found.total)


def register(at: Context, want: RegisterHost) -> RegisteredHost:
    """Watch one more host from now on. Raises Invalid for a bad address or URL, Conflict for a page that is watched
    already.
    """
    address = _checked_address(want.address)
    exporter_url = _checked_url("exporter_url", want.exporter_url)
    vm_exporter_url = _checked_url("vm_exporter_url", want.vm_exporter_url) if want.vm_exporter_url else None
    twin = at.session.scalar(select(rows.Host).where(rows.Host.exporter_url == exporter_url).limit(1))
    if twin is not None:
        raise Conflict("host", twin.id, f"{exporter_url} is already its page")
    now = at.clock.now()
    host = rows.Host(
        id=new_id("host"), name=want.name, description=want.description, created_at=now, origin=Origin.REGISTERED,
        address=address, exporter_url=exporter_url, vm_exporter_url=vm_exporter_url, state_since=now,
    )  # fmt: skip
    at.session.add(host)
    at.session.flush()
    return RegisteredHost(id=host.id)


def set_maintenance(at: Context, want: SetMaintenance) -> None:
    """A host in maintenance raises no alarms and takes no new VMs. Setting what is set already changes nothing."""
    host = _existing(at, want.id)
    host.maintenance = want.maintenance
    if want.description is not None:
        host.description = want.description


def delete(at: Context, ref: HostRef) -> None:
    """Forget a host. Raises Conflict while VMs, running or not, or templates are placed on it, naming them."""
    host = _existing(at, ref.id)
    on_it = of_every_kind(select(Vm.name)).where(Vm.host_id == host.id).order_by(Vm.name)
    if names := at.session.scalars(on_it).all():
        raise Conflict("host", host.id, f"VMs are on it: {some(names)}")
    at.session.delete(host)
    at.session.flush()


def _existing(at: Context, id_: str) -> rows.Host:
    return only(at.session, select(rows.Host).where(*exactly(rows.Host.id, id_)), "host", id_)


def _checked_address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError as problem:
        raise Invalid("address", f"{text!r} is not an IP address", "an IPv4 or IPv6 address") from problem


def _checked_url(field: str, text: str) -> str:
    allowed = "http://HOST:PORT/PATH or https://HOST:PORT/PATH"
    url = text.strip()
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as problem:
        raise Invalid(field, f"{text!r} is not a URL: {problem}", allowed) from problem
    if parts.scheme not in {"http", "https"}:
        raise Invalid(field, f"scheme {parts.scheme or 'missing'} in {text!r}", allowed)
    if not parts.hostname or port == 0:
        raise Invalid(field, f"no {'port' if parts.hostname else 'host'} in {text!r}", allowed)
    if any(character <= " " or character == "\x7f" for character in url):
        raise Invalid(field, f"white space or control characters in {text!r}", allowed)
    return url


def _details(host: rows.Host) -> HostDetails:
    return HostDetails(
        id=host.id, name=host.name, description=host.description, state=host.state, connected=host.connected,
        created_at=host.created_at, address=host.address, registered=True, maintenance=host.maintenance,
        os_product=host.os_product, os_bits=host.os_bits, kernel_version=host.kernel_version,
        hypervisor_version=host.hypervisor_version, cpu_vendor=host.cpu_vendor, cpu_cores=host.cpu_cores,
        cpu_sockets=host.cpu_sockets, memory_gb=round(host.memory_mb / 1024, 2),
    )  # fmt: skip
