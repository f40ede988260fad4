"""Requests at random, from the declarations of the operations: what is allowed, what stands at its edges, and what
nobody should send.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from api.wire.operation import Operation
from api.wire.parameters import Parameter, Schema
from core.context import Role
from tests.support.damage import INTACT, Damage, damages
from tests.support.pem import pem
from tests.support.sensible import Ids, Ref, refs, sensible

T = TypeVar("T")
_KINDS: Final = {
    "vroute": "router", "natvrouteid": "router", "vm.template": "template", "templateid": "template",
    "portgroup": "vpc", "vpc": "vpc", "vnetid": "vpc", "appid": "tenant", "app.id": "tenant", "tenant": "tenant",
    "realnode.id": "back_end", "realnodeid": "back_end", "slb": "balancer", "securitygroup": "security_group",
    "aclrule.id": "group_rule", "ruleid": "access_rule", "natid": "nat_mapping", "storage": "storage", "host": "host",
    "startid": "task", "task.objid": "vm", "alarm.id": "alarm", "alarm.objid": "vm", "token": "token",
    "poolid": "outer_pool", "window": "maintenance_window", "backupid": "backup", "backup.id": "backup",
    "snapshotid": "snapshot", "snapshot.id": "snapshot", "vnic.id": "nic", "vdiskid": "disk", "vdisk.id": "disk",
    "monitor.obj": "vm", "vm": "vm", "id": "dictionary_entry",
}  # fmt: skip
"""What the name of an id begins with, or holds, and the table in which such ids are: the first that fits."""
_SPECIAL: Final = {"POST cloudslb/add slb.vmid": "router", "GET vroute/{vmId} vmId": "router",
                   "DELETE vroute/{vmId} vmId": "router", "PUT cloudtask/cancel startid": "queued_task",
                   "DELETE cloudsegroup/rule/{ruleid} ruleid": "group_rule"}  # fmt: skip
_OUTER: Final = ("ipaddress", "vm.outer.ipaddress", "slb.directip", "vroute.manageip", "tenant.shareip", "natOuterip")
_ADDRESS: Final = re.compile(r"(ip|ips|ipaddress|addresses|gateway|netmask|target)(\.only)?$", re.IGNORECASE)
_PORTS: Final = re.compile(r"port$", re.IGNORECASE)
_SIGNS: Final = st.characters(codec=None) | st.sampled_from("\0\x07\x7f\ud800\udfff\u202e\ufeff'\"%_\\;/💥张İß")


@dataclass(frozen=True)
class Request:
    """`params` is the JSON in KEY_PARAM, or holds the value of the path's parameter."""

    operation: Operation
    caller: str
    params: Any
    damage: Damage
    language: str

    def filled(self, own: Ids, ids: Ids) -> Any:
        """`own`: those of the caller; `ids`: all of them."""
        return _filled(self.params, own, ids)


def _filled(value: Any, own: Ids, ids: Ids) -> Any:
    match value:
        case Ref(table, number):
            known = (own.get(table) if value.own else None) or ids.get(table)
            return known[number % len(known)] if known else f"{table}-404"
        case dict():
            return {key: _filled(item, own, ids) for key, item in value.items()}
        case list():
            return [_filled(item, own, ids) for item in value]
    return value


def drawn(strategy: st.SearchStrategy[T], count: int, number: int) -> list[T]:
    """`count` values at most (there may be fewer that differ), the same for each `number`."""
    found: list[T] = []

    @seed(number)
    @settings(
        max_examples=count, database=None, phases=(Phase.generate,), deadline=None, derandomize=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def take(value: T) -> None:
        found.append(value)

    take()
    return found


def requests(operation: Operation) -> st.SearchStrategy[Request]:
    """Half of them might succeed; the callers who may call it do so more often."""
    usual = "platform" if operation.role is Role.PLATFORM else "alice"
    callers = st.sampled_from((usual,) * 9 + ("alice", "platform", "platform", "bob", "bob", "nobody"))
    params = st.sampled_from((_likely(operation),) * 5 + (_wrong(operation),) * 3 + (_chaos(operation),)).flatmap(
        lambda kind: kind
    )
    languages = st.sampled_from(("en", "zh", "", "xx;q=9,*"))
    hurt = st.sampled_from((True,) * 5 + (False,)).flatmap(lambda whole: st.just(INTACT) if whole else damages())
    return st.builds(Request, st.just(operation), callers, params, hurt, languages)


def _likely(operation: Operation) -> st.SearchStrategy[Any]:
    drawn_alone = _object(operation.name, operation.parameters, _right)
    known = _SENSIBLE.get(operation.name)
    return drawn_alone if known is None else known | drawn_alone


def _wrong(operation: Operation) -> st.SearchStrategy[Any]:
    """A likely request with some values that stand at the edges, or beyond, or are missing, and with names that nobody
    knows."""
    names = [item.name for item in operation.parameters] or ["x"]
    known = {item.name: item for item in operation.parameters}

    def spoilt(name: str) -> st.SearchStrategy[Any]:
        return _edge(known[name].schema) | JSON if name in known else JSON

    some = st.sampled_from(names).flatmap(lambda name: st.tuples(st.just(name), spoilt(name)))
    spoils = st.lists(some, min_size=1, max_size=2).map(dict)
    extras = st.dictionaries(st.sampled_from(_STRANGE_NAMES) | st.text(_SIGNS, max_size=8), JSON, max_size=1)
    whole = st.builds(lambda good, bad, more: {**good, **bad, **more}, _likely(operation), spoils, extras)
    return whole | st.tuples(whole, st.sampled_from(names)).map(
        lambda pair: {key: value for key, value in pair[0].items() if key != pair[1]}
    )


def _chaos(operation: Operation) -> st.SearchStrategy[Any]:
    names = [item.name for item in operation.parameters] or ["x"]
    return st.dictionaries(st.sampled_from(names), JSON, max_size=4) | JSON


def _object(
    place: str, parameters: Sequence[Parameter], value: Callable[[str, Parameter], st.SearchStrategy[Any]]
) -> st.SearchStrategy[dict[str, Any]]:
    required = {item.name: value(place, item) for item in parameters if item.required}
    optional = {item.name: value(place, item) for item in parameters if not item.required}
    return st.fixed_dictionaries(required, optional=optional)


def _right(place: str, parameter: Parameter) -> st.SearchStrategy[Any]:
    """What is allowed, and mostly makes sense."""
    name, schema = parameter.name, parameter.schema
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "integer" | "number":
            return _integers(schema)
        case "array" if parameter.inner:
            return st.lists(_object(place, parameter.inner, _right), max_size=2)
        case "array":
            item = Parameter(name, required=True, schema=schema["items"])
            return st.lists(_right(place, item), min_size=schema.get("minItems", 0), max_size=3)
        case "object":
            return _object(place, parameter.inner, _right)
    if "format" in schema:
        return TIMES
    return _texts(place, name, schema)


def _integers(schema: Schema) -> st.SearchStrategy[Any]:
    least, most = schema.get("minimum", 0), schema.get("maximum", 2**31 - 1)
    small = st.integers(least, min(most, least + 40))
    useful = st.sampled_from([number for number in (80, 443, 1024, 2048, 8080) if least <= number <= most] or [least])
    return small | useful | useful.map(str) | st.integers(least, most)


def _texts(place: str, name: str, schema: Schema) -> st.SearchStrategy[Any]:
    if (found := _hints(place, name)) is not None:
        return found
    longest = min(schema.get("maxLength", 64), 40)
    plain = st.text(st.sampled_from("abcXYZ019-._ 云主机"), min_size=1, max_size=longest)
    return plain | st.sampled_from(("debian-12", "Correct-Horse-1", "secret1"))


@cache
def _hints(place: str, name: str) -> st.SearchStrategy[Any] | None:
    """What a text of this name must look like to be of use; None: anything."""
    if kind := _SPECIAL.get(f"{place} {name}"):
        return refs(kind)
    if name in _OUTER:
        return refs("pool_ip") | ADDRESSES
    if _ADDRESS.search(name):
        return refs("address") | ADDRESSES
    if _PORTS.search(name):
        return PORTS
    if re.search(r"(id|ids|obj|objids)$", name, re.IGNORECASE):
        kind = next((table for part, table in _KINDS.items() if part in name.casefold()), "vm")
        return st.integers(0, 9).flatmap(lambda chance: _rare(kind) if chance == 9 else refs(kind))
    return _WORDS.get(name)


def _rare(kind: str) -> st.SearchStrategy[Any]:
    return refs("host") | refs("vpc") | st.just(f"{kind}-404")


def _edge(schema: Schema) -> st.SearchStrategy[Any]:
    """At the limits, and next to them."""
    match schema.get("type"):
        case "integer" | "number":
            limits = [schema.get("minimum", 0), schema.get("maximum", 2**31 - 1)]
            return st.sampled_from([limit + by for limit in limits for by in (-1, 0, 1)]) | NUMBERS
        case "array":
            return st.sampled_from(([], [[]], [None], "a,b", ",", [{}], ["x"] * 1001, {"0": 1}, [1, True, "vm-1"]))
        case "object":
            return st.sampled_from(({}, [], "{}"))
    longest = schema.get("maxLength", 64)
    shapes = ("", " ", "x" * longest, "x" * (longest + 1), "云" * longest, "\0", "a\0b", "\ud800", "'; DROP TABLE vm")
    return st.sampled_from(shapes) | st.text(_SIGNS, max_size=12) | TIMES | ADDRESSES | PORTS


_STRANGE_NAMES: Final = ("", " vm.id", "vm.id*", "__class__", "self", "shape", "model_config", "tenant_id", "KEY_PARAM")
NUMBERS: Final = st.one_of(
    st.sampled_from((0, -1, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, -0.0, 0.5,
                     float("nan"), float("inf"), "1e5", "0x10", "١٢", "1_000", "1.0", "+7", "9" * 5000, True)),
    st.integers(), st.floats(),
)  # fmt: skip
ADDRESSES: Final = st.sampled_from((
    "203.0.113.9", "203.0.113.0/28", "203.0.113.2-203.0.113.6", "192.168.0.2", "10.0.0.0/8", "0.0.0.0", "0.0.0.0/0",
    "255.255.255.255", "255.255.255.0", "256.1.1.1", "1.2.3", "01.02.03.04", "::1", "fe80::1%eth0", "10.0.0.5,10.0.0.6",
    "10.0.0.0/33", "10.0.0.1/24", "1.1.1.1;drop", "224.0.0.1", "127.0.0.1", "١.١.١.١", "198.51.100.0/29", " , ", "any",
))  # fmt: skip
PORTS: Final = st.sampled_from((
    "80", "80:83,85,87", "1:65535", "0", "65536", "83:80", "80:", ":80", ",", "80,80", "-1", "٨٠", "1:2:3", "http",
    ",".join(map(str, range(1, 200))),
))  # fmt: skip
TIMES: Final = st.sampled_from((
    "2026-01-01 00:00:00", "2026-06-01 12:00:00", "2030-01-01 00:00:00", "0001-01-01 00:00:00", "9999-12-31 23:59:59",
    "2026-02-30 00:00:00", "2026-01-01", "yesterday", "1900-01-01 00:00:00", "2026-01-01 24:00:00", 1767225600,
))  # fmt: skip
JSON: Final = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(_SIGNS, max_size=12) | refs("vm") | refs("tenant"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(_SIGNS, max_size=4), inner, max_size=3),
    max_leaves=6,
)
_PEM: Final = pem()
_SENSIBLE: Final = sensible(_PEM)
_WORDS: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "vm.tenant.model": st.sampled_from(("debian-12", "debian-12", "k8s-1-16-8", "none")),
    "host.exporter.url": st.sampled_from(("http://10.0.0.7:9100/metrics", "http://[::1", "ftp://x", "http://h:99999/")),
    "host.vm.exporter.url": st.sampled_from(("http://10.0.0.7:9177/metrics", "http://[::1]:1/", "//", "http://")),
    "slb.https.cert.text": st.sampled_from((_PEM.chain, _PEM.chain, _PEM.chain[:200], _PEM.key, "x")),
    "slb.https.cert.key": st.sampled_from((_PEM.key, _PEM.key, _PEM.chain, _PEM.key[:-40], "x")),
    "slb.http.urlpath": st.sampled_from(("/", "/health", "health", "/a b", "/\n", "//")),
    "slb.health.check.path": st.sampled_from(("/", "/health", "x", "/%00")),
    "window.start": st.sampled_from(("02:00", "24:00", "2:0", "xx:yy", "23:59")),
    "window.zone": st.sampled_from(("Asia/Shanghai", "UTC", "../../etc/passwd", "Mars/Base", "/etc", "posixrules")),
    "vm.vncpasswd": st.sampled_from(("secret1", "12345678", "密码")),
}
