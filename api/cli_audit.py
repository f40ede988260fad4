"""`starvc audit`: who did what. Talks to the running server."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from api.cli_connection import PAGE, connected
from api.cli_server import DEFAULT_URL, Token, Url

_RESULTS: Final = {"0": "success", "1": "failure", "1003": "refused"}
_console = Console()


def audit(
    tenant: Annotated[str, typer.Option(help="Only what this tenant's tokens did.")] = "",
    holder: Annotated[str, typer.Option("--by", help="Only what the token of this id did.")] = "",
    since: Annotated[str, typer.Option(help="YYYY-MM-DD HH:MM:SS, in the installation's zone.")] = "",
    until: Annotated[str, typer.Option(help="YYYY-MM-DD HH:MM:SS.")] = "",
    operation: Annotated[str, typer.Option(help="Only operations whose path contains this, such as cloudvm/.")] = "",
    about: Annotated[str, typer.Option("--object", help="Only what named this object, by its id.")] = "",
    result: Annotated[str, typer.Option(help="0 success, 1 failure, 1003 refused token.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="So many entries, at most.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one JSON object a line.")] = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """The audit log, newest first: who did what, to which objects, with what result, and from where."""
    wanted = {
        "app.id": tenant, "token.id": holder, "audit.starttime": since, "audit.endtime": until,
        "audit.operation": operation, "audit.objid": about, "audit.result": result,
    }  # fmt: skip
    found = _found(url, token, wanted, limit)
    if as_json:
        for entry in found:
            typer.echo(json.dumps(entry, ensure_ascii=False))
        return
    table = Table("time", "who", "from", "operation", "objects", "result", box=None)
    for entry in found:
        objects = " ".join(one["audit.objid"] for one in entry["audit.objects"])
        table.add_row(
            entry["audit.time"], _who(entry), entry["audit.address"], entry["audit.operation"], objects, _result(entry)
        )
    _console.print(table)


def _who(entry: dict[str, Any]) -> str:
    return " ".join(filter(None, (entry["app.id"] or entry["audit.role"] or "nobody", entry["token.id"])))


def _result(entry: dict[str, Any]) -> str:
    words = [_RESULTS[entry["audit.result"]], entry["audit.resultinfo"]]
    many = f"{entry['audit.count']} times" if entry["audit.count"] != "1" else ""
    return ": ".join(filter(None, (*words, many)))


def _found(url: str, token: str, wanted: dict[str, str], limit: int) -> list[dict[str, Any]]:
    """Page by page, each from where the last one ended: entries are added meanwhile."""
    found: list[dict[str, Any]] = []
    with connected(url, token) as server:
        while len(found) < limit:
            page = {"page.startnum": 1, "page.everypagenum": min(PAGE, limit - len(found))}
            older = {"audit.beforeid": found[-1]["audit.id"]} if found else {}
            rows = server.ask("POST", "cloudaudit/search", {**wanted, **page, **older})
            found += rows
            if len(rows) < page["page.everypagenum"]:
                break
    return found
