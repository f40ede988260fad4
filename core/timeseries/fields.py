"""The one table of what is measured. Parsing, rates, stores, lines, rules, `cloudmonitor`, `/metrics` and dashboards
read it.

All values are float64; NaN means "not measured", never zero. Sizes and speeds are in the units that the wire asks for
(KB = 1024 bytes, MB = 1024 KB), so that nothing is converted twice. From the VM's point of view *down* is what it
receives.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What can be measured. A disk or NIC is named `<vm id>/<device>` or `<host id>/<device>`: its owner is in its
    name. PLATFORM, the installation itself, has no fields: it is there to be the object of alarms."""

    HOST = "host"
    VM = "vm"
    DISK = "disk"
    NIC = "nic"
    TARGET = "target"
    PLATFORM = "platform"


class Unit(StrEnum):
    PERCENT = "percent"
    COUNT = "count"
    MEGABYTES = "megabytes"
    KILOBYTES = "kilobytes"
    KILOBYTES_PER_SECOND = "kilobytes_per_second"
    PER_SECOND = "per_second"
    SECONDS = "seconds"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class Field:
    """`decimals` is the precision that the document states for the wire; the store keeps full floats."""

    name: str
    unit: Unit
    decimals: int
    meaning: str


_COMPUTE = (
    Field("cpu_rate", Unit.PERCENT, 0, "CPU in use, of all cores"),
    Field("cpu_num", Unit.COUNT, 0, "CPU cores"),
    Field("mem_rate", Unit.PERCENT, 0, "memory in use"),
    Field("mem_size", Unit.MEGABYTES, 0, "memory"),
    Field("mem_used", Unit.MEGABYTES, 0, "memory in use"),
    Field("disk_size", Unit.MEGABYTES, 0, "capacity of all disks or file systems"),
    Field("disk_used", Unit.MEGABYTES, 0, "space in use on all disks or file systems"),
    Field("disk_read", Unit.KILOBYTES_PER_SECOND, 2, "read from all disks"),
    Field("disk_write", Unit.KILOBYTES_PER_SECOND, 2, "written to all disks"),
    Field("net_down", Unit.KILOBYTES_PER_SECOND, 2, "received by all NICs"),
    Field("net_up", Unit.KILOBYTES_PER_SECOND, 2, "sent by all NICs"),
)

FIELDS: Final[dict[Kind, tuple[Field, ...]]] = {
    Kind.HOST: _COMPUTE,
    Kind.VM: _COMPUTE,
    Kind.DISK: (
        Field("size", Unit.KILOBYTES, 0, "capacity"),
        Field("used", Unit.KILOBYTES, 0, "space in use"),
        Field("read", Unit.KILOBYTES_PER_SECOND, 2, "read"),
        Field("write", Unit.KILOBYTES_PER_SECOND, 2, "written"),
        Field("read_requests", Unit.PER_SECOND, 2, "read requests"),
        Field("write_requests", Unit.PER_SECOND, 2, "write requests"),
    ),
    Kind.NIC: (
        Field("down", Unit.KILOBYTES_PER_SECOND, 2, "received"),
        Field("up", Unit.KILOBYTES_PER_SECOND, 2, "sent"),
    ),
    Kind.TARGET: (
        Field("up", Unit.BOOLEAN, 0, "1: the last scrape succeeded; 0: it failed"),
        Field("duration", Unit.SECONDS, 3, "time from the first byte sent to the page parsed"),
        Field("lateness", Unit.SECONDS, 3, "actual minus scheduled start"),
        Field("samples", Unit.COUNT, 0, "samples on the page"),
        Field("failure", Unit.COUNT, 0, "failure class, as its position in collector.failure.Failure; 0: none"),
    ),
    Kind.PLATFORM: (),
}

COLUMN: Final[dict[Kind, dict[str, int]]] = {
    kind: {field.name: position for position, field in enumerate(fields)} for kind, fields in FIELDS.items()
}
"""Position of a field in the value arrays of its kind."""
