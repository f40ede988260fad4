"""Would this packet pass, and what decides? Asked of what the simulated network has applied, not of what is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from api.simulation.cloud import SimulatedCloud
from core.drivers.simulated.fleet import Fleet
from core.errors import Conflict, Invalid
from core.network.packets import Packet, Step
from core.network.paths import Landscape, from_nic, from_outside
from core.network.traffic import HIGHEST_PORT, Protocol


@dataclass(frozen=True, slots=True)
class Probe:
    """`source`: a VM, or the `outside` address of a client. `target`: a VM, or an address."""

    source: str
    outside: IPv4Address | None
    target: str
    protocol: Protocol
    port: int


@dataclass(frozen=True, slots=True)
class Stage:
    """`node` empty: there was none."""

    node: str
    packet: str
    passed: bool
    by: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """`node`, `by`: what decided."""

    passed: bool
    node: str
    by: str
    steps: tuple[Stage, ...]


def read(source: str, target: str, port: int, protocol: str, outside: str) -> Probe:
    """A probe from words: with a port TCP, without one ICMP, unless it says otherwise. Raises Invalid."""
    if bool(source) == bool(outside):
        raise Invalid("source", "is missing" if not source else "is given twice", "a VM, or an address outside")
    if not 0 <= port <= HIGHEST_PORT:
        raise Invalid("port", f"{port} is out of range", f"1-{HIGHEST_PORT}")
    try:
        chosen = Protocol(protocol or ("tcp" if port else "icmp"))
    except ValueError:
        raise Invalid("protocol", f"there is no {protocol!r}", ", ".join(Protocol)) from None
    if bool(port) != (chosen is not Protocol.ICMP):
        raise Invalid("port", f"does not go with {chosen}" if port else "is missing", "one for tcp and udp")
    client = _address(outside)
    if outside and client is None:
        raise Invalid("outside", f"{outside} is not an IP address", "an IPv4 address")
    return Probe(source, client, target, chosen, port)


def ping(simulation: SimulatedCloud, probe: Probe) -> Outcome:
    """Raises Invalid for VMs that do not exist, Conflict for those that could not send or receive anything."""
    land = simulation.network.landscape()
    steps = _from_outside(simulation, land, probe) if probe.outside else _between(simulation, land, probe)
    stages = tuple(Stage(str(step.node or ""), str(step.packet), step.passed, step.by) for step in steps)
    return Outcome(stages[-1].passed, stages[-1].node, stages[-1].by, stages)


def _between(simulation: SimulatedCloud, land: Landscape, probe: Probe) -> tuple[Step, ...]:
    senders = _nics(simulation, land, probe.source)
    target = _address(probe.target)
    if target is not None:
        return from_nic(land, senders[0], _packet(land, senders[0], target, probe))
    receivers = _nics(simulation, land, probe.target)
    near = [(one, other) for one in senders for other in receivers if land.nics[one].vpc_id == land.nics[other].vpc_id]
    sender, receiver = near[0] if near else (senders[0], receivers[0])
    return from_nic(land, sender, _packet(land, sender, IPv4Address(land.nics[receiver].ip), probe))


def _from_outside(simulation: SimulatedCloud, land: Landscape, probe: Probe) -> tuple[Step, ...]:
    assert probe.outside is not None
    target, port = _address(probe.target), probe.port
    if target is None:
        target, port = _mapped(simulation, land, probe)
    return from_outside(land, Packet(probe.protocol, probe.outside, target, port))


def _mapped(simulation: SimulatedCloud, land: Landscape, probe: Probe) -> tuple[IPv4Address, int]:
    """Where a client outside reaches the VM's port."""
    inner = {land.nics[nic].ip for nic in _nics(simulation, land, probe.target)}
    for router in land.routers.values():
        for nat in router.ip_nat:
            if nat.inner_ip in inner:
                return IPv4Address(nat.outer_ip), probe.port
        for port in router.port_nat:
            if port.inner_ip in inner and (port.protocol, port.inner_port) == (probe.protocol, probe.port):
                return IPv4Address(port.outer_ip), port.outer_port
    raise Conflict("VM", probe.target, "no outer IP is mapped to it, nor to this port of it")


def _packet(land: Landscape, sender: str, target: IPv4Address, probe: Probe) -> Packet:
    return Packet(probe.protocol, IPv4Address(land.nics[sender].ip), target, probe.port)


def _nics(simulation: SimulatedCloud, land: Landscape, target: str) -> list[str]:
    """The NICs of a running VM that have an address and are applied, by id."""
    vm_id, is_running = simulation.ask(lambda fleet, _: _look_up(fleet, target))
    if not is_running:
        raise Conflict("VM", vm_id, "is not running")
    found = sorted(id_ for id_, nic in land.nics.items() if nic.vm_id == vm_id and nic.ip)
    if not found:
        raise Conflict("VM", vm_id, "has no NIC in the simulated network")
    return found


def _look_up(fleet: Fleet, target: str) -> tuple[str, bool]:
    vm = fleet.directory.vm(target)
    return vm.id, fleet.runs(vm.index)


def _address(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except AddressValueError:
        return None
