"""What is to be scraped: the exporters of every host, read from the inventory.

A host in maintenance is scraped like any other: maintenance silences alarms, it does not blind anybody. `as_file_sd`
and `from_file_sd` are the same list as a document of Prometheus's file and HTTP service discovery, so that a
collector in another process, or a Prometheus, finds the same targets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qsl, urlencode, urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.compute.rows import Vm
from core.db.content import content
from core.db.session import of_every_kind
from core.errors import Invalid
from core.hosts.rows import Host

_ID = "__meta_starvc_target"
_VMS = "__meta_starvc_vms"
_QUERY = "__param_"


class Exporter(StrEnum):
    """Whose names the page speaks: node_exporter's for the host, a libvirt exporter's for its VMs."""

    NODE = "node"
    LIBVIRT = "libvirt"


@dataclass(frozen=True, slots=True)
class Target:
    """One page. `vms` maps the domain's UUID to the id of the VM, for the VMs that the inventory places on this
    host."""

    id: str
    host_id: str
    exporter: Exporter
    url: str
    vms: Mapping[str, str] = field(default_factory=dict)


def list_targets(session: Session) -> tuple[Target, ...]:
    """All targets of the inventory, sorted by id. The session is the platform's: targets cross tenants."""
    vms: dict[str, dict[str, str]] = {}
    placed = of_every_kind(select(Vm.host_id, Vm.domain_uuid, Vm.id)).where(Vm.host_id.is_not(None))
    for host_id, domain, vm_id in session.execute(placed):
        assert host_id is not None
        vms.setdefault(host_id, {})[domain] = vm_id
    hosts = session.execute(select(Host.id, Host.exporter_url, Host.vm_exporter_url).order_by(Host.id)).all()
    found = [target for row in hosts for target in _of_host(*row, vms.get(row[0], {}))]
    return tuple(sorted(found, key=lambda target: target.id))


class TargetReader:
    """`list_targets` again and again: as long as the tables say what they said, it is the same list. At 10,000 VMs 6
    ms instead of 40."""

    def __init__(self) -> None:
        self._said: tuple[str | None, ...] | None = None
        self._targets: tuple[Target, ...] = ()

    def read(self, session: Session) -> tuple[Target, ...]:
        hosts = select(content(Host.id, Host.exporter_url, Host.vm_exporter_url))
        vms = of_every_kind(select(content(Vm.id, Vm.host_id, Vm.domain_uuid))).where(Vm.host_id.is_not(None))
        said = session.scalar(hosts), session.scalar(vms)
        if said != self._said:
            self._targets, self._said = list_targets(session), said
        return self._targets


def _of_host(host_id: str, node: str, libvirt: str | None, vms: Mapping[str, str]) -> Iterable[Target]:
    if node:
        yield Target(f"{host_id}/{Exporter.NODE}", host_id, Exporter.NODE, node)
    if libvirt:
        yield Target(f"{host_id}/{Exporter.LIBVIRT}", host_id, Exporter.LIBVIRT, libvirt, vms)


def as_file_sd(targets: Iterable[Target]) -> list[dict[str, object]]:
    """The document of Prometheus's `file_sd` and `http_sd`: one group per target.

    `host_id` and `exporter` become labels of what Prometheus scrapes; what only our collector needs stands in
    `__meta_` labels, which Prometheus drops.
    """
    return [_as_group(target) for target in targets]


def _as_group(target: Target) -> dict[str, object]:
    url = urlsplit(target.url)
    labels = {
        "__scheme__": url.scheme,
        "__metrics_path__": url.path or "/",
        "host_id": target.host_id,
        "exporter": str(target.exporter),
        _ID: target.id,
        _VMS: ",".join(f"{domain}={vm_id}" for domain, vm_id in sorted(target.vms.items())),
    }
    labels.update((f"{_QUERY}{name}", value) for name, value in parse_qsl(url.query, keep_blank_values=True))
    return {"targets": [url.netloc], "labels": labels}


def from_file_sd(document: object) -> tuple[Target, ...]:
    """The targets of such a document, sorted by id; raises `Invalid`. Groups written by hand need `host_id` and
    `exporter`."""
    if not isinstance(document, list):
        raise Invalid("targets", f"{type(document).__name__} found", "a list of groups {targets, labels}")
    found = [target for position, group in enumerate(document) for target in _of_group(position, group)]
    ids = [target.id for target in found]
    if len(set(ids)) != len(ids):
        twice = sorted({name for name in ids if ids.count(name) > 1})
        raise Invalid("targets", f"{', '.join(twice)} found more than once", "each target once")
    return tuple(sorted(found, key=lambda target: target.id))


def _of_group(position: int, group: object) -> Iterable[Target]:
    where = f"targets[{position}]"
    if not isinstance(group, dict) or not isinstance(addresses := group.get("targets"), list):
        raise Invalid(where, "no list of targets", '{"targets": ["host:port"], "labels": {...}}')
    labels = group.get("labels") or {}
    if not isinstance(labels, dict) or not all(isinstance(text, str) for pair in labels.items() for text in pair):
        raise Invalid(f"{where}.labels", "not names with texts", '{"host_id": "...", "exporter": "node"}')
    exporter, host_id = labels.get("exporter", Exporter.NODE), labels.get("host_id", "")
    if exporter not in set(Exporter):
        raise Invalid(f"{where}.labels.exporter", f"{exporter!r} is unknown", " or ".join(Exporter))
    if not host_id:
        raise Invalid(f"{where}.labels.host_id", "is missing", "the id of the host")
    for address in addresses:
        name = labels.get(_ID, f"{host_id}/{exporter}")
        yield Target(name, host_id, Exporter(exporter), _url(address, labels), _vms(where, labels))


def _url(address: object, labels: Mapping[str, str]) -> str:
    query = urlencode([(name.removeprefix(_QUERY), text) for name, text in labels.items() if name.startswith(_QUERY)])
    path = labels.get("__metrics_path__", "/metrics")
    return f"{labels.get('__scheme__', 'http')}://{address}{path}" + (f"?{query}" if query else "")


def _vms(where: str, labels: Mapping[str, str]) -> Mapping[str, str]:
    pairs: Sequence[list[str]] = [pair.split("=") for pair in labels.get(_VMS, "").split(",") if pair]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise Invalid(f"{where}.labels.{_VMS}", "not a list of pairs", "domain=vm,domain=vm")
    return {domain: vm_id for domain, vm_id in pairs}
