"""2.14 Physical hosts on the wire. `versoin` is the document's spelling."""

from __future__ import annotations

from api.wire.languages import Text
from api.wire.operation import EXTENSION, Operation, Section
from api.wire.words import Words
from core.context import Role
from core.hosts import events, hosts

_MAIN = {
    "id": "host.id",
    "name": "host.name",
    "description": "host.desc",
    "state": "host.state",
    "connected": "host.isconnected",
    "created_at": "host.createtime",
    "registered": "host.authentication",
    "maintenance": "host.ismending",
    "os_product": "host.os.product",
    "os_bits": "host.os.bit",
    "kernel_version": "host.os.versoin",
    "hypervisor_version": "host.virt.versoin",
    "cpu_vendor": "host.cpu.vendor",
    "cpu_cores": "host.cpu.num",
    "cpu_sockets": "host.cpus",
    "memory_gb": "host.mem.size",
    "exporter_url": "host.exporter.url",
    "vm_exporter_url": "host.vm.exporter.url",
}
REQUEST = Words({**_MAIN, "address": "host.ip"})
ANSWER = Words({**_MAIN, "address": "host.register.address"}, binary=frozenset({"registered"}))
IN_PATH = Words({"id": "hostid"})
EVENT = Words(
    {
        "id": "event.id",
        "host_id": "host.id",
        "at": "event.time",
        "from_state": "host.state.from",
        "to_state": "host.state.to",
        "reason": "event.reason",
        "urgent": "event.urgent",
        "detector": "event.detector",
        "evidence": "event.evidence",
        "name": "evidence.name",
        "value": "evidence.value",
        "since": "event.starttime",
        "until": "event.endtime",
    }
)

SECTION = Section(
    "2.14",
    Text("物理机", "Physical hosts"),
    (
        Operation(
            "POST",
            "cloudhost/search",
            "2.14",
            Text("查询物理机列表", "Search physical hosts"),
            hosts.search,
            REQUEST,
            ANSWER,
            role=Role.PLATFORM,
        ),
        Operation(
            "POST",
            "cloudhost/register",
            EXTENSION,
            Text("登记物理机", "Register host"),
            hosts.register,
            REQUEST,
            role=Role.PLATFORM,
            writes=True,
        ),
        Operation(
            "DELETE",
            "cloudhost/{hostid}",
            EXTENSION,
            Text("移除物理机", "Delete host"),
            hosts.delete,
            IN_PATH,
            role=Role.PLATFORM,
            writes=True,
        ),
        Operation(
            "PUT",
            "cloudhost/maintenance",
            EXTENSION,
            Text("物理机运维模式", "Host maintenance mode"),
            hosts.set_maintenance,
            REQUEST,
            role=Role.PLATFORM,
            writes=True,
        ),
        Operation(
            "POST",
            "cloudhost/events",
            EXTENSION,
            Text("查询物理机事件", "Search host events"),
            events.search,
            EVENT,
            role=Role.PLATFORM,
        ),
    ),
)
