"""`starvc sim`: break the simulated data centre on purpose, heal it, look at it, or serve it as a process of its
own."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated, Any
from urllib.parse import urlencode

import httpx
import typer
from rich.console import Console
from rich.table import Table

from api.cli_server import DEFAULT_URL, Token, Url, fail, token_or_saved
from core.drivers.simulated.faults import Action

sim_app = typer.Typer(no_args_is_help=True, help="Faults of the simulated data centre.")

Target = Annotated[str, typer.Argument(help="Id or name of a host or VM.")]
Device = Annotated[str | None, typer.Option(help="Disk (vda) or mountpoint (/); default: all of the target's.")]

_console = Console()


@sim_app.command("crash-host")
def crash_host(target: Target, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Power gone: connections are refused, the VMs are gone with it; after `heal` all has booted anew."""
    _inject(Action.CRASH_HOST, target, None, url, token)


@sim_app.command("cut-link")
def cut_link(target: Target, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """The host runs on and answers nothing."""
    _inject(Action.CUT_LINK, target, None, url, token)


@sim_app.command("hang-exporter")
def hang_exporter(target: Target, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """The host's own page never comes; the page of its VMs does."""
    _inject(Action.HANG_EXPORTER, target, None, url, token)


@sim_app.command("restart-vm")
def restart_vm(target: Target, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """The counters of the VM begin at 0 again."""
    _inject(Action.RESTART_VM, target, None, url, token)


@sim_app.command("load-vm")
def load_vm(target: Target, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """All vCPUs of the VM are busy until `heal`."""
    _inject(Action.LOAD_VM, target, None, url, token)


@sim_app.command("fill-disk")
def fill_disk(target: Target, device: Device = None, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Disks of a VM or file systems of a host are 96 % full until `heal`."""
    _inject(Action.FILL_DISK, target, device, url, token)


@sim_app.command("fail-operation")
def fail_operation(
    target: Target,
    operation: Annotated[str | None, typer.Option(help="One of them (create, start, ...); default: all.")] = None,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """What the control plane asks of a host or VM fails until `heal`."""
    _inject(Action.FAIL_OPERATION, target, operation, url, token)


@sim_app.command("lose-network")
def lose_network(
    target: Annotated[str, typer.Argument(help="A host, a VM, or the id of a router or NIC.")],
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """A host forgets its routers and filters, as when somebody flushes them; the control plane brings them back."""
    _inject(Action.LOSE_NETWORK, target, None, url, token)


@sim_app.command("ping")
def ping(
    vms: Annotated[list[str], typer.Argument(help="VM_A VM_B: ids, names or, for the second, an IP address.")],
    port: Annotated[int, typer.Option(min=0, max=65_535, help="TCP or UDP port; without one: ICMP.")] = 0,
    protocol: Annotated[str, typer.Option(help="tcp, udp or icmp.")] = "",
    from_outside: Annotated[str, typer.Option(help="IP address of a client outside, instead of VM_A.")] = "",
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Would a packet pass from VM_A to VM_B, and what decides? Exits with 1 when it would not."""
    if len(vms) != (1 if from_outside else 2):
        raise typer.BadParameter("one VM with --from-outside, two without", param_hint="VMS")
    asked = {"target": vms[-1], "source": "" if from_outside else vms[0], "port": str(port), "protocol": protocol}
    shown = _call("GET", url, f"/ping?{urlencode({**asked, 'outside': from_outside})}", token)
    table = Table("node", "packet", "passed", "by")
    for step in shown["steps"]:
        table.add_row(step["node"] or "-", step["packet"], "yes" if step["passed"] else "no", step["by"])
    _console.print(table)
    verdict, style = ("passed", "green") if shown["passed"] else ("not passed", "red")
    _console.print(f"{verdict}: {shown['by']} ({shown['node'] or 'no node'})", style=style)
    raise typer.Exit(0 if shown["passed"] else 1)


@sim_app.command("heal")
def heal(
    target: Annotated[str, typer.Argument(help="A host, a VM, or all.")] = "all",
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Take the faults of a host or VM away, or all there are."""
    _inject(Action.HEAL, target, None, url, token)


@sim_app.command("status")
def status(url: Url = DEFAULT_URL, token: Token = "") -> None:
    """The hosts, and everything that is broken."""
    shown = _call("GET", url, "", token)
    _console.print(_host_table(shown["hosts"]))
    broken = [vm for vm in shown["vms"] if vm["faults"] or not vm["running"]]
    if broken:
        _console.print(_vm_table(broken))


@sim_app.command("serve")
def serve(
    hosts: Annotated[int, typer.Option(min=0, max=10_000)] = 4,
    vms: Annotated[int, typer.Option(min=0, max=200_000)] = 24,
    seed: int = 1,
    address: Annotated[str, typer.Option(help="Address of the pages and of the control API.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the control API; 0 picks a free one.")] = 0,
    port_file: Annotated[
        Path | None, typer.Option(help="Write the pages' addresses here, as Prometheus' file_sd.")
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Keep it here, where others may take part in it (STARVC_SIM_DIR); default: nothing is kept."),
    ] = None,
    token: Token = "",
) -> None:
    """Serve a simulated data centre alone: for several API processes, for load tests, for a Prometheus of its own."""
    from api.simulation.serve import run, serving  # the other commands start faster without it

    if vms and not hosts:
        raise typer.BadParameter("VMs need at least one host", param_hint="--hosts")
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    with serving(seed, hosts, vms, data_dir, address=address, port=port, token=token) as running:
        told = f"{hosts} hosts and {vms} VMs are served\ntoken: {running.token}\nup: {running.control_url}"
        _console.print(told, soft_wrap=True, highlight=False)
        run(running, port_file, stop)


def _inject(action: Action, target: str, device: str | None, url: str, token: str) -> None:
    body = {"target": target} | ({"device": device} if device else {})
    _call("POST", url, f"/{action}", token, body)
    _console.print(f"{action}: {target}", style="green")


def _call(method: str, url: str, path: str, token: str, body: dict[str, str] | None = None) -> Any:
    """The JSON answer; ends the program with the reason when there is none."""
    address = f"{url.rstrip('/')}/simulation{path}"
    headers = {"KEY_TOKEN": token_or_saved(token)}
    try:
        answer = httpx.request(method, address, json=body, headers=headers, timeout=30, trust_env=False)
    except httpx.HTTPError as problem:
        fail(f"{address} cannot be reached: {problem}")
    try:
        shown = answer.json()
    except ValueError:
        fail(f"{address} did not answer with JSON (status {answer.status_code}): is the simulation on?")
    if not answer.is_success:
        reason = str(shown.get("error") or shown.get("detail") or answer.status_code)
        allowed = f"; allowed: {shown['allowed']}" if "allowed" in shown and shown["allowed"] not in reason else ""
        fail(reason + allowed)
    return shown


def _host_table(hosts: list[dict[str, Any]]) -> Table:
    table = Table("host", "name", "port", "threads", "memory MB", "VMs", "faults", title="Simulated hosts")
    for host in hosts:
        numbers = [str(host[key]) for key in ("port", "threads", "memory_mb", "vms")]
        table.add_row(host["id"], host["name"], *numbers, ", ".join(host["faults"]) or "-")
    return table


def _vm_table(vms: list[dict[str, Any]]) -> Table:
    table = Table("VM", "name", "host", "running", "faults", title="VMs that are off or broken")
    for vm in vms:
        table.add_row(
            vm["id"], vm["name"], vm["host_id"], "yes" if vm["running"] else "no", ", ".join(vm["faults"]) or "-"
        )
    return table
