"""`starvc maintenance`: windows in which notifications wait. Talks to the running server."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from api.cli_connection import connected
from api.cli_server import DEFAULT_URL, Token, Url

maintenance_app = typer.Typer(
    no_args_is_help=True,
    help="Maintenance windows: notifications wait in them; what is still true afterwards is told then.",
)
_console = Console()

Several = list[str]


@maintenance_app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What is being done.")],
    starts: Annotated[str, typer.Option("--from", help="YYYY-MM-DD HH:MM:SS, in the installation's zone.")] = "",
    ends: Annotated[str, typer.Option("--to", help="YYYY-MM-DD HH:MM:SS.")] = "",
    weekdays: Annotated[str, typer.Option(help="Every week on these days, Monday is 1: 6,7.")] = "",
    start: Annotated[str, typer.Option(help="Local time of the weekly start, HH:MM.")] = "",
    minutes: Annotated[int | None, typer.Option(help="Length of the weekly window.")] = None,
    zone: Annotated[str, typer.Option(help="Zone of the weekly start; default: the installation's.")] = "",
    tenant: Annotated[Several | None, typer.Option(help="Only alarms of this tenant's VMs; may be repeated.")] = None,
    host: Annotated[Several | None, typer.Option(help="Only of this host and what runs on it.")] = None,
    vm: Annotated[Several | None, typer.Option(help="Only of this VM.")] = None,
    level: Annotated[Several | None, typer.Option(help="Only of this level: low, medium, high.")] = None,
    rule: Annotated[Several | None, typer.Option(help="Only of this rule.")] = None,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Announce a window, once (--from, --to) or every week (--weekdays, --start, --minutes). Prints its id."""
    wanted = {
        "window.name": name, "window.starttime": starts, "window.endtime": ends, "window.start": start,
        "window.minutes": minutes, "window.zone": zone, "window.appids": tenant, "window.hostids": host,
        "window.vmids": vm, "window.levels": level, "window.rules": rule,
        "window.weekdays": [day.strip() for day in weekdays.split(",")] if weekdays else None,
    }  # fmt: skip
    made = _call(url, token, "POST", "cloudalarm/maintenance/create", wanted)
    _console.print(made["window.id"])


@maintenance_app.command("list")
def show(url: Url = DEFAULT_URL, token: Token = "") -> None:
    """All windows, newest first."""
    table = Table("id", "name", "when", "for whom")
    for window in _call(url, token, "POST", "cloudalarm/maintenance/search", {}):
        table.add_row(window["window.id"], window["window.name"], _when(window), _whom(window))
    _console.print(table)


@maintenance_app.command("remove")
def remove(window: Annotated[str, typer.Argument(help="Its id.")], url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Take a window back. What it held up is told at once, if it is still true."""
    _call(url, token, "DELETE", f"cloudalarm/maintenance/{window}", None)
    _console.print(f"{window} is gone")


def _when(window: dict[str, Any]) -> str:
    span = f"{window['window.starttime'] or '...'} to {window['window.endtime'] or '...'}"
    if not window["window.weekdays"]:
        return span
    weekly = f"days {','.join(window['window.weekdays'])} at {window['window.start']} {window['window.zone']}"
    weekly += f" for {window['window.minutes']} min"
    return weekly if span == "... to ..." else f"{weekly}, {span}"


def _whom(window: dict[str, Any]) -> str:
    kinds = {"tenant": "appids", "host": "hostids", "VM": "vmids", "level": "levels", "rule": "rules"}
    named = [f"{kind} {', '.join(values)}" for kind, field in kinds.items() if (values := window[f"window.{field}"])]
    return "; ".join(named) or "everybody"


def _call(url: str, token: str, method: str, path: str, params: dict[str, Any] | None) -> Any:
    with connected(url, token) as server:
        return server.ask(method, path, params)
