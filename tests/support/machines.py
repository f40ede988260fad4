"""Machines for tests: network namespaces of this machine, each with an address of its own, on a switch that is one
more namespace. Links are cut, between two machines or of one to all.

Nothing is left behind whatever happens: a namespace lives as long as a process in it, the first of which ends when this
one does, and with it go its links, that to this machine included. No name of it is anywhere on this machine.

Addresses are from 198.18.0.0/15, which RFC 2544 keeps for tests of networks: a part that this machine does not use.
"""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.support.real import Place, eventually, require

_POOL: Final = tuple(ipaddress.ip_network("198.18.0.0/15").subnets(new_prefix=24))
_NOWHERE: Final = "02:00:00:00:00:fe"
"""A hardware address that no link has."""


@dataclass(frozen=True)
class Machine(Place):
    """`number`: of its port on the switch."""

    number: int = 0


@dataclass
class Network:
    """`subnet`: of all machines; its first address is this machine's."""

    subnet: ipaddress.IPv4Network
    switch: Place
    _namespaces: ExitStack
    _machines: list[Machine] = field(default_factory=list)

    def machine(self) -> Machine:
        number = len(self._machines) + 1
        holder = self._namespaces.enter_context(_namespace())
        made = Machine(str(self.subnet[number + 1]), _door(holder), number)
        _plugged_in(self, holder, f"p{number}")
        _run(made, "ip", "address", "add", f"{made.address}/24", "dev", "eth0")
        _run(made, "ip", "link", "set", "eth0", "up")
        _run(made, "ip", "link", "set", "lo", "up")
        self._machines.append(made)
        return made

    def unplug(self, machine: Machine) -> None:
        """Its link is down on the switch's side: it reaches nobody, and is not told why."""
        _run(self.switch, "ip", "link", "set", f"p{machine.number}", "down")

    def plug(self, machine: Machine) -> None:
        _run(self.switch, "ip", "link", "set", f"p{machine.number}", "up")

    @contextmanager
    def unplugged(self, machine: Machine) -> Iterator[None]:
        self.unplug(machine)
        try:
            yield
        finally:
            self.plug(machine)

    @contextmanager
    def cut(self, one: Machine, other: Machine) -> Iterator[None]:
        """What the two send each other is lost; everybody else reaches both."""
        pairs = ((one, other), (other, one))
        for here, there in pairs:
            to = (there.address, "lladdr", _NOWHERE, "dev", "eth0", "nud", "permanent")
            _run(here, "ip", "neighbour", "replace", *to)
        try:
            yield
        finally:
            for here, there in pairs:
                _run(here, "ip", "neighbour", "delete", there.address, "dev", "eth0")


@contextmanager
def network() -> Iterator[Network]:
    """A switch that this machine is plugged into. Skips where there are no namespaces, unless STARVC_REQUIRE names
    `namespaces`."""
    _required()
    with ExitStack() as namespaces:
        holder = namespaces.enter_context(_namespace())
        switch = Place("", _door(holder))
        _run(switch, "ip", "link", "add", "switch", "type", "bridge")
        _run(switch, "ip", "link", "set", "switch", "up")
        made = Network(_free_subnet(), switch, namespaces)
        ours = f"sv{secrets.token_hex(5)}"
        _run(None, "ip", "link", "add", ours, "type", "veth", "peer", "name", "p0", "netns", str(holder))
        namespaces.callback(_run, None, "ip", "link", "delete", ours)
        _on_the_switch(switch, "p0")
        _run(None, "ip", "address", "add", f"{made.subnet[1]}/24", "dev", ours)
        _run(None, "ip", "link", "set", ours, "up")
        yield made


def _required() -> None:
    require("namespaces", None if (reason := _missing()) else "here", reason)


def _missing() -> str:
    """Why there are no namespaces; empty when there are."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if absent := [program for program in ("ip", "unshare", "nsenter") if shutil.which(program) is None]:
        return f"network namespaces need {' and '.join(absent)}"
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, check=False)
    return f"network namespaces cannot be made: {tried.stderr.strip()}" if tried.returncode else ""


def _plugged_in(to: Network, holder: int, port: str) -> None:
    link = ("type", "veth", "peer", "name", "eth0", "netns", str(holder))
    _run(to.switch, "ip", "link", "add", port, *link)
    _on_the_switch(to.switch, port)


def _on_the_switch(switch: Place, port: str) -> None:
    _run(switch, "ip", "link", "set", port, "master", "switch")
    _run(switch, "ip", "link", "set", port, "up")


@contextmanager
def _namespace() -> Iterator[int]:
    """The process that keeps it: it ends when its input does, which is at the latest when this process ends."""
    with subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as holder:
        ours, its = (Path(f"/proc/{whose}/ns/net") for whose in ("self", holder.pid))
        eventually(lambda: its.readlink() != ours.readlink())
        yield holder.pid


def _door(holder: int) -> tuple[str, ...]:
    return ("nsenter", f"--net=/proc/{holder}/ns/net", "--")


def _free_subnet() -> ipaddress.IPv4Network:
    """One that is in no route of this machine, by chance among those: several tests may look at once."""
    routes = json.loads(_run(None, "ip", "-json", "-4", "route", "show", "table", "all"))
    used = [ipaddress.ip_network(row["dst"]) for row in routes if row["dst"] != "default"]
    return secrets.choice([one for one in _POOL if not any(one.overlaps(other) for other in used)])


def _run(at: Place | None, *command: str) -> str:
    done = subprocess.run([*(at.door if at else ()), *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout
