"""`starvc template`: VMs from which others are cloned. Talks to the running server."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from api.cli_connection import connected, in_path
from api.cli_server import DEFAULT_URL, Token, Url
from api.cli_tables import AsJson, Shown, say, show_rows, word
from core.compute.rows import VmLock

template_app = typer.Typer(no_args_is_help=True, help="Templates: VMs that do not run, for all tenants to clone.")

_COLUMNS: Final[Shown] = {
    "id": "vm.template.id", "name": "vm.name", "model": "vm.tenant.model", "CPU": "vm.vcpu.num",
    "memory MB": "vm.memory.mem", "storage GB": "vm.storage.size", "tenant": "app.id",
    "lock": lambda row: word(VmLock, row.get("vm.lock")).replace("none", ""), "clones under way": "vm.clone.num",
}  # fmt: skip


@template_app.command("add", epilog="Example: starvc vm stop vm-31c07a --wait && starvc template add vm-31c07a")
def add(
    vm: Annotated[str, typer.Argument(help="Id of a stopped VM.")], url: Url = DEFAULT_URL, token: Token = ""
) -> None:
    """Make a stopped VM a template. From now on every tenant can clone it, with all that is on its disks, and it is no
    VM of its owner any more. It keeps its id."""
    with connected(url, token) as server:
        made = server.ask("POST", "cloudvm/template/create", {"vm.id": vm})
    say(f"{made['vm.template.id']} is a template: all tenants can clone it")


@template_app.command("list", epilog="Example: starvc template list --name debian")
def list_templates(
    name: Annotated[str, typer.Option(help="Only those whose name contains this.")] = "",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """All templates, newest first."""
    with connected(url, token) as server:
        show_rows(server.ask("POST", "cloudvm/template/search", {"vm.name": name}), _COLUMNS, as_json=as_json)


@template_app.command("remove", epilog="Example: starvc template remove vm-31c07a")
def remove(template: Annotated[str, typer.Argument(help="Its id.")], url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Make a template a stopped VM of its tenant again. What was cloned from it stays. Refused while it is cloned, and
    when the quota of its tenant, or its host, has no room for it."""
    with connected(url, token) as server:
        server.ask("DELETE", f"cloudvm/template/{in_path(template)}")
    say(f"{template} is a VM again")
