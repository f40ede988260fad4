"""`starvc host`: the physical hosts. Talks to the running server."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from api.cli_connection import connected
from api.cli_server import DEFAULT_URL, Token, Url
from api.cli_tables import AsJson, Shown, say, show_json, show_one, show_rows, word
from core.compute.rows import VmState
from core.hosts.rows import HostState

host_app = typer.Typer(no_args_is_help=True, help="Hosts: the machines that are watched and that run VMs.")

Host = Annotated[str, typer.Argument(help="Its id.")]


class Switch(StrEnum):
    ON = "on"
    OFF = "off"


def _state(row: Any) -> str:
    return word(HostState, row["host.state"])


def _marks(row: Any) -> str:
    marks = {"maintenance": row["host.ismending"] == "true", "not connected": row["host.isconnected"] != "true"}
    return ", ".join(name for name, holds in marks.items() if holds)


_COLUMNS: Final[Shown] = {
    "id": "host.id", "name": "host.name", "state": _state, "": _marks, "address": "host.register.address",
    "cores": "host.cpu.num", "memory GB": "host.mem.size", "system": "host.os.product",
}  # fmt: skip
_FIELDS: Final[Shown] = {
    "id": "host.id", "name": "host.name", "description": "host.desc", "state": _state, "marks": _marks,
    "address": "host.register.address", "cores": "host.cpu.num", "sockets": "host.cpus", "CPU": "host.cpu.vendor",
    "memory GB": "host.mem.size", "system": "host.os.product", "kernel": "host.os.versoin",
    "hypervisor": "host.virt.versoin", "since": "host.createtime",
}  # fmt: skip
_VMS: Final[Shown] = {
    "id": "vm.id", "name": "vm.name", "state": lambda row: word(VmState, row["vm.state"]), "CPU": "vm.vcpu.num",
    "memory MB": "vm.memory.mem",
}  # fmt: skip
_EVENTS: Final[Shown] = {
    "time": "event.time", "from": lambda row: word(HostState, row["host.state.from"]),
    "to": lambda row: word(HostState, row["host.state.to"]), "reason": "event.reason",
}  # fmt: skip


@host_app.command("list", epilog="Example: starvc host list --json")
def list_hosts(as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """All hosts, newest first."""
    with connected(url, token) as server:
        show_rows(server.ask("POST", "cloudhost/search", {}), _COLUMNS, as_json=as_json)


@host_app.command("show", epilog="Example: starvc host show host-sim-001 --events 3")
def show(
    host: Host,
    events: Annotated[int, typer.Option(min=0, help="So many of its last events.")] = 10,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """A host, its VMs, and what happened to it."""
    with connected(url, token) as server:
        row = server.one("cloudhost/search", {"host.id": host}, f"host {host}")
        vms = server.ask("POST", "cloudvm/search", {"vm.hostid": host})
        happened = server.first("cloudhost/events", {"host.id": host}, events)
    if as_json:
        show_json({**row, "vms": vms, "events": happened})
        return
    show_one(row, _FIELDS)
    show_rows(vms, _VMS, as_json=False, title="VMs")
    show_rows(happened, _EVENTS, as_json=False, title="Events")


@host_app.command("register", epilog="Example: starvc host register node7 10.0.0.7 http://10.0.0.7:9100/metrics")
def register(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    ip: Annotated[str, typer.Argument(help="Its address.")],
    page: Annotated[str, typer.Argument(help="URL of the page of its metrics (node_exporter, starvc agent).")],
    vm_page: Annotated[str, typer.Option(help="URL of the page of its VMs' metrics, if it is another one.")] = "",
    desc: Annotated[str, typer.Option(help="A description.")] = "",
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Watch one more host from now on. Prints its id."""
    wanted = {
        "host.name": name, "host.ip": ip, "host.exporter.url": page, "host.vm.exporter.url": vm_page,
        "host.desc": desc,
    }  # fmt: skip
    with connected(url, token) as server:
        say(server.ask("POST", "cloudhost/register", wanted)["host.id"])


@host_app.command("maintenance", epilog="Example: starvc host maintenance host-sim-001 on --desc 'new disks'")
def maintenance(
    host: Host,
    switch: Annotated[Switch, typer.Argument(help="on: it raises no alarms and takes no new VMs.")],
    desc: Annotated[str, typer.Option(help="Why; replaces the host's description.")] = "",
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Take a host out of service, or back. Its VMs run on."""
    wanted = {"host.id": host, "host.ismending": switch is Switch.ON, "host.desc": desc}
    with connected(url, token) as server:
        server.ask("PUT", "cloudhost/maintenance", wanted)
    say(f"{host}: maintenance {switch}")
