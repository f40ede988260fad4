"""`starvc vm`: VMs of all tenants. Talks to the running server; with a tenant's token, VMs of that tenant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import typer

from api.cli_connection import Connection, connected, in_path
from api.cli_progress import Timeout, Wait, complain, conclude, follow
from api.cli_server import DEFAULT_URL, Token, Url
from api.cli_tables import AsJson, Shown, chosen, codes, say, show_json, show_one, show_rows, word
from core.compute.rows import VmLock, VmState

vm_app = typer.Typer(no_args_is_help=True, help="Virtual machines.")

Vms = Annotated[list[str], typer.Argument(metavar="VM...", help="Ids of VMs.")]

_STATES: Final = codes(VmState)


def _state(row: Any) -> str:
    return word(VmState, row["vm.state"])


def _lock(row: Any) -> str:
    return word(VmLock, row["vm.lock"]).replace("none", "")


_COLUMNS: Final[Shown] = {
    "id": "vm.id", "name": "vm.name", "state": _state, "lock": _lock, "CPU": "vm.vcpu.num",
    "memory MB": "vm.memory.mem", "address": "vm.ip", "host": "vm.hostid",
}  # fmt: skip
_FIELDS: Final[Shown] = {
    "id": "vm.id", "name": "vm.name", "description": "vm.desc", "state": _state, "lock": _lock, "CPU": "vm.vcpu.num",
    "memory MB": "vm.memory.mem", "type": "vm.tenant.type", "model": "vm.tenant.model", "address": "vm.ip",
    "host": "vm.hostid", "created": "vm.createtime",
}  # fmt: skip
_DISKS: Final[Shown] = {"id": "vdisk.id", "name": "vdisk.name", "device": "vdisk.devname", "GB": "vdisk.size"}
_NICS: Final[Shown] = {"id": "vnic.id", "name": "vnic.name", "MAC": "vnic.macaddress", "address": "vnic.ipaddress"}
_OPENED: Final[Shown] = {"id": "vm.id", "name": "vm.name", "task": "jobstartid"}
_STARTED: Final[Shown] = {"VM": "vm.id", "task": "startid"}


@vm_app.command("list", epilog="Example: starvc vm list --name web --state running")
def list_vms(
    name: Annotated[str, typer.Option(help="Only those whose name contains this.")] = "",
    state: Annotated[str, typer.Option(help=f"One of: {', '.join(_STATES)}.")] = "",
    host: Annotated[str, typer.Option(help="Only on this host, by its id.")] = "",
    ip: Annotated[str, typer.Option(help="Only with this address.")] = "",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """VMs, newest first."""
    wanted = {"vm.name": name, "vm.state": chosen(_STATES, state), "vm.hostid": host, "vm.ip": ip}
    with connected(url, token) as server:
        show_rows(server.ask("POST", "cloudvm/search", wanted), _COLUMNS, as_json=as_json)


@vm_app.command("show", epilog="Example: starvc vm show vm-31c07a")
def show(
    vm: Annotated[str, typer.Argument(help="Its id.")],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """A VM with its disks and NICs."""
    with connected(url, token) as server:
        row = server.ask("GET", f"cloudvm/{in_path(vm)}")
        disks = server.ask("POST", "cloudvm/vdisk/search", {"vdisk.vmid": vm})
        nics = server.ask("POST", "cloudvm/vnic/search", {"vnic.vmid": vm})
    if as_json:
        show_json({**row, "disks": disks, "nics": nics})
        return
    show_one(row, _FIELDS)
    show_rows(disks, _DISKS, as_json=False, title="Disks")
    show_rows(nics, _NICS, as_json=False, title="NICs")


@vm_app.command("console", epilog="Example: starvc vm console vm-31c07a")
def console(
    vm: Annotated[str, typer.Argument(help="Its id.")],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """The address of a running VM's console, for noVNC and the like. It opens once, and within a minute."""
    with connected(url, token) as server:
        shown = server.ask("GET", f"cloudvm/connection/{in_path(vm)}")
    if as_json:
        show_json(shown)
    else:
        say(shown["vm.console.url"])


@vm_app.command(
    "open",
    epilog="Examples: starvc vm open vpc-1d20 --model debian-12 --cpu 2 --memory 4096 --name web --number 3 --wait"
    "\n\nstarvc vm open vpc-1d20 --template vm-sim-template-debian-12 --cpu 1 --memory 1024",
)
def open_vms(
    network: Annotated[str, typer.Argument(help="Id of the private network; its tenant owns the VMs.")],
    cpu: Annotated[int, typer.Option(min=1, help="Cores.")],
    memory: Annotated[int, typer.Option(min=1, help="MB.")],
    model: Annotated[str, typer.Option(help="Code of a model: a fresh installation.")] = "",
    template: Annotated[str, typer.Option(help="Id of a template: a clone of it.")] = "",
    name: Annotated[str, typer.Option(help="Several VMs: name-1, name-2, ...; default: the id.")] = "",
    number: Annotated[int, typer.Option(min=1, max=10, help="So many VMs, all or none.")] = 1,
    disks: Annotated[int, typer.Option(min=0, help="So many data disks each.")] = 0,
    disk_gb: Annotated[int, typer.Option(min=0, help="GB of each data disk.")] = 0,
    nested: Annotated[bool, typer.Option("--nested", help="VMs may run inside them.")] = False,
    wait: Wait = False,
    timeout: Timeout = 0,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Open VMs, from a model or from a template. Prints their ids and tasks."""
    wanted = {
        "vnic.portgroupid": network, "vm.vcpu.num": cpu, "vm.memory.mem": memory, "vm.tenant.model": model,
        "vm.template.id": template, "vm.name": name, "vm.num": number, "vm.vdisk.num": disks or None,
        "vm.vdisk.size": disk_gb or None, "vm.hyperv.enable": nested or None,
    }  # fmt: skip
    with connected(url, token) as server:
        opened = server.ask("POST", "cloudvm/create", wanted)
        show_rows(opened, _OPENED, as_json=as_json)
        if wait:
            conclude(follow(server, [one["jobstartid"] for one in opened], timeout))


@vm_app.command("start", epilog="Example: starvc vm start vm-31c07a vm-31c07b --wait")
def start(
    vms: Vms,
    wait: Wait = False,
    timeout: Timeout = 0,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Switch VMs on."""
    _each(url, token, vms, _put("start"), wait=wait, timeout=timeout, as_json=as_json)


@vm_app.command("stop", epilog="Example: starvc vm stop vm-31c07a --hard")
def stop(
    vms: Vms,
    hard: Annotated[bool, typer.Option("--hard", help="Cut the power: what the guest has not saved is lost.")] = False,
    wait: Wait = False,
    timeout: Timeout = 0,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Ask the guests to shut down. One that does not in time runs on, and its task fails."""
    deed = _put("destroy" if hard else "shutdown")
    _each(url, token, vms, deed, wait=wait, timeout=timeout, as_json=as_json)


@vm_app.command("restart", epilog="Example: starvc vm restart vm-31c07a --wait")
def restart(
    vms: Vms,
    wait: Wait = False,
    timeout: Timeout = 0,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Ask the guests to restart."""
    _each(url, token, vms, _put("restart"), wait=wait, timeout=timeout, as_json=as_json)


@vm_app.command("delete", epilog="Example: starvc vm delete vm-31c07a --yes --wait")
def delete(
    vms: Vms,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: Wait = False,
    timeout: Timeout = 0,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Delete stopped VMs with their disks, NICs and snapshots; backups stay. It cannot be undone."""
    if not yes:
        typer.confirm(f"Delete {', '.join(vms)}?", abort=True, err=True)
    _each(
        url, token, vms, lambda vm: ("DELETE", f"cloudvm/{in_path(vm)}", None),
        wait=wait, timeout=timeout, as_json=as_json,
    )  # fmt: skip


_Request = tuple[str, str, dict[str, object] | None]


def _put(deed: str) -> Callable[[str], _Request]:
    return lambda vm: ("PUT", f"cloudvm/{deed}", {"vm.id": vm})


def _each(
    url: str,
    token: str,
    vms: Sequence[str],
    request: Callable[[str], _Request],
    *,
    wait: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """The same of every VM. One that refuses does not keep the others from it; then the exit code is 1."""
    with connected(url, token) as server:
        started, refused = _ask_each(server, vms, request)
        if started or as_json:
            show_rows(started, _STARTED, as_json=as_json)
        for reason in refused:
            complain(reason)
        if wait:
            conclude(follow(server, [one["startid"] for one in started], timeout))
    if refused:
        raise typer.Exit(1)


def _ask_each(
    server: Connection, vms: Sequence[str], request: Callable[[str], _Request]
) -> tuple[list[dict[str, Any]], list[str]]:
    """What was started, and the reasons of what was refused."""
    started, refused = [], []
    for vm in vms:
        answer = server.answer(*request(vm))
        if answer.succeeded:
            started.append({"vm.id": vm, "startid": answer.task_id})
        else:
            refused.append(answer.text)
    return started, refused
