"""What filters and mappings say about traffic: protocols, directions, lists of ports and of IPv4 blocks. Pure.

A list is read from its text once, when it is accepted, and kept as its canonical text: sorted, without overlaps, so
that a filter takes it as it stands. An empty list restricts nothing. Networks are IPv4 throughout.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Final, Self

from core.errors import Invalid

LONGEST_LIST: Final = 1024
"""Characters of a list; its canonical text is never longer than what was given."""
HIGHEST_PORT: Final = 65_535

_RANGE: Final = re.compile(r"([0-9]{1,5})(?: *: *([0-9]{1,5}))?")
_BLOCK: Final = re.compile(r"[0-9.]+(?:/[0-9]{1,2})?")
_PORTS_ALLOWED: Final = "ports of 1-65535 and ranges of them with commas, such as 80:83,85,87"
_BLOCKS_ALLOWED: Final = "IPv4 addresses and blocks with commas, such as 10.0.0.5,10.1.0.0/24"
_ADDRESS_ALLOWED: Final = "an IPv4 address"


class Direction(StrEnum):
    """As the VM sees it: IN reaches it, OUT leaves it."""

    IN = "in"
    OUT = "out"


OWN_SIDE: Final = {Direction.IN: "targets", Direction.OUT: "sources"}
PEERS: Final = {Direction.IN: "sources", Direction.OUT: "targets"}
"""Which list of a rule names the side that the rule belongs to, and which the other one."""


class Protocol(StrEnum):
    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    """`first` to `last`, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}:{self.last}"


@dataclass(frozen=True, slots=True)
class PortSet:
    """Disjoint ranges in ascending order; none: every port. `str()` is the canonical text."""

    ranges: tuple[PortRange, ...] = ()

    @classmethod
    def parse(cls, text: str, field: str) -> Self:
        """Raises Invalid, naming `field` and the entry that is wrong."""
        ranges: list[PortRange] = []
        for one in sorted(_port_range(entry, field) for entry in _entries(text)):
            if ranges and one.first <= ranges[-1].last:
                ranges[-1] = PortRange(ranges[-1].first, max(ranges[-1].last, one.last))
            else:
                ranges.append(one)
        return cls(tuple(ranges))

    def admits(self, port: int) -> bool:
        return not self.ranges or any(one.first <= port <= one.last for one in self.ranges)

    def __str__(self) -> str:
        return _joined(self.ranges)


@dataclass(frozen=True, slots=True)
class Blocks:
    """Disjoint IPv4 blocks in ascending order; none: every address. `str()` is the canonical text, an address without
    its /32."""

    networks: tuple[IPv4Network, ...] = ()

    @classmethod
    def parse(cls, text: str, field: str) -> Self:
        """Raises Invalid, naming `field` and the entry that is wrong."""
        networks: list[IPv4Network] = []
        for one in sorted(_block(entry, field) for entry in _entries(text)):
            if not networks or not one.subnet_of(networks[-1]):
                networks.append(one)
        return cls(tuple(networks))

    def admits(self, ip: IPv4Address) -> bool:
        return not self.networks or any(ip in one for one in self.networks)

    def __str__(self) -> str:
        return _joined(str(one).removesuffix("/32") for one in self.networks)


def address(text: str, field: str) -> str:
    """The address as it is written everywhere. Raises Invalid, naming `field`."""
    if _is_ipv6(text.strip()):
        raise Invalid(field, f"{text} is IPv6, which networks do not carry", _ADDRESS_ALLOWED)
    try:
        return str(IPv4Address(text.strip()))
    except ValueError:
        raise Invalid(field, f"{text} is not an IP address", _ADDRESS_ALLOWED) from None


def refuse_ports_without_protocol(protocol: Protocol | None, ports: PortSet, names: tuple[str, str]) -> None:
    """Only TCP and UDP have ports. `names`: the fields of the protocol and of the ports. Raises Invalid."""
    protocol_field, ports_field = names
    if ports.ranges and protocol is None:
        raise Invalid(protocol_field, "is missing, while ports are given", "tcp or udp")
    if ports.ranges and protocol is Protocol.ICMP:
        raise Invalid(ports_field, "does not go with icmp", "nothing, or tcp or udp as the protocol")


def _entries(text: str) -> list[str]:
    """Commas alone are an entry, a wrong one: they would restrict nothing, and nobody who writes them means that."""
    given = text.strip()
    return [entry.strip() for entry in given.split(",") if entry.strip()] or ([given] if given else [])


def _port_range(entry: str, field: str) -> PortRange:
    found = _RANGE.fullmatch(entry)
    if found is None:
        raise Invalid(field, f"{entry} is not a port or a range", _PORTS_ALLOWED)
    first, last = int(found[1]), int(found[2] or found[1])
    if not 1 <= first <= HIGHEST_PORT or not 1 <= last <= HIGHEST_PORT:
        raise Invalid(field, f"{entry} is out of range", _PORTS_ALLOWED)
    if first > last:
        raise Invalid(field, f"{entry} ends before it begins", _PORTS_ALLOWED)
    return PortRange(first, last)


def _block(entry: str, field: str) -> IPv4Network:
    if _is_ipv6(entry):
        raise Invalid(field, f"{entry} is IPv6, which networks do not carry", _BLOCKS_ALLOWED)
    shaped = _BLOCK.fullmatch(entry)
    try:
        loose = IPv4Network(entry if shaped else "", strict=False)
    except ValueError:
        raise Invalid(field, f"{entry} is not an IP address or block", _BLOCKS_ALLOWED) from None
    ip = entry.partition("/")[0]
    if str(loose.network_address) != ip:
        raise Invalid(field, f"{entry} is an address inside a block", f"{loose} for the block, {ip} for the address")
    return loose


def _is_ipv6(entry: str) -> bool:
    try:
        ipaddress.IPv6Interface(entry.strip("[]"))
    except ValueError:
        return False
    return True


def _joined(parts: Iterable[object]) -> str:
    return ",".join(map(str, parts))
