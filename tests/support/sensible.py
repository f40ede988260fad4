"""Requests of the operations whose parameters depend on each other: drawn one by one, hardly any would be accepted.

Ids are guessed by reference and become those of objects that exist when the request is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.support.pem import Pem

Ids = Mapping[str, Sequence[str]]
"""By table, or by what the rows of it are: `template` and `queued_task`, too."""


@dataclass(frozen=True)
class Ref:
    """The id, or address, of the object `number` of a table: of the caller's own, or whoever owns it."""

    table: str
    number: int
    own: bool


def refs(table: str) -> st.SearchStrategy[Ref]:
    return st.builds(Ref, st.just(table), st.integers(0, 30), st.sampled_from((True, True, False)))


def _own(table: str) -> st.SearchStrategy[Ref]:
    return st.builds(Ref, st.just(table), st.integers(0, 30), st.just(value=True))


def _fields(**fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    """`__` in a name stands for a dot."""
    values = {name.replace("__", "."): value for name, value in fields.items()}
    return st.fixed_dictionaries(
        {name: value if isinstance(value, st.SearchStrategy) else st.just(value) for name, value in values.items()}
    )


def _pools(number: int) -> dict[str, Any]:
    return {"pool.addresses": f"100.64.{number}.0/29", "pool.gateway": f"100.64.{number}.1"}


def _hosts(number: int) -> dict[str, Any]:
    address = f"10.0.1.{number}"
    return {"host.name": "h", "host.ip": address, "host.exporter.url": f"http://{address}:9100/metrics"}


def sensible(pem: Pem) -> Mapping[str, st.SearchStrategy[dict[str, Any]]]:
    """By the name of the operation."""
    size = {"vm__vcpu__num": st.integers(1, 2), "vm__memory__mem": st.sampled_from((512, 1024))}
    inside = {**size, "vnic__portgroupid": _own("vpc")}
    later = st.sampled_from(("2030-01-01 00:00:00", "9999-12-31 23:59:59"))
    return {
        "POST cloudvm/create": _fields(**inside, vm__tenant__model="debian-12")
        | _fields(**inside, vm__template__id=refs("template")),
        "POST cloudvm/addVhostModelAndType": _fields(
            type=st.sampled_from(("tenant_system_model", "tenant_app_model")), label="Debian",
            value=st.integers(0, 999).map("debian-{}".format),
        ),
        "POST cloudhost/register": st.integers(1, 254).map(_hosts),
        "POST cloudip/pool/create": st.integers(0, 255).map(_pools),
        "PUT cloudslb/https/cert/conf": _fields(
            slb__id=_own("balancer"), slb__https__cert__text=pem.chain, slb__https__cert__key=pem.key
        ),
        "POST cloudslb/add": _fields(
            slb__name="s", slb__appid=_own("tenant"), slb__vmid=_own("router"), slb__directip=refs("pool_ip"),
            slb__protocal__type=st.sampled_from(("TCP", "UDP", "HTTP")), slb__network__type="outter",
            slb__directport=st.integers(1000, 2000), slb__realport=80,
        ),
        "POST cloudnetwork/vpc/delete": _fields(vpc__id=_own("vpc") | _own("spare_vpc")),
        "DELETE cloudTenant/{appid}": _fields(appid=refs("bare_tenant")),
        "PUT cloudvm/start": _fields(vm__id=_own("stopped_vm")),
        "DELETE cloudvm/{vmId}": _fields(vmId=_own("stopped_vm")),
        "DELETE cloudvm/vdisk/{vdiskId}": _fields(vdiskId=_own("data_disk")),
        "PUT cloudalarm/shelve": _fields(alarm__id=_own("alarm"), alarm__shelve__endtime=later),
        "POST cloudalarm/maintenance/create": _fields(
            window__name="w", window__weekdays=st.lists(st.integers(1, 7), min_size=1, max_size=3),
            window__start="02:00", window__minutes=st.integers(1, 10_080),
        )
        | _fields(window__name="w", window__starttime="2026-01-01 00:00:00", window__endtime=later),
    }  # fmt: skip
