"""`starvc tenant`: tenants and their quotas. Talks to the running server."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from api.cli_connection import connected
from api.cli_server import DEFAULT_URL, Token, Url
from api.cli_tables import AsJson, Shown, say, show_json, show_one, show_rows

tenant_app = typer.Typer(no_args_is_help=True, help="Tenants: who owns VMs, and how much each may own.")

Cores = Annotated[int | None, typer.Option(min=0, help="Quota of CPU cores.")]
Megabytes = Annotated[int | None, typer.Option(min=0, help="Quota of memory, MB.")]
Gigabytes = Annotated[int | None, typer.Option(min=0, help="Quota of storage, GB.")]
Networks = Annotated[int | None, typer.Option(min=0, help="Quota of private networks.")]
Addresses = Annotated[int | None, typer.Option("--outer-ips", min=0, help="Quota of outer IPs.")]

_COLUMNS: Final[Shown] = {
    "id": "app.id", "name": "app.name", "CPU": "app.cpu.quota", "memory MB": "app.memory.quota",
    "storage GB": "app.storage.quota", "networks": "app.portgroup.quota", "outer IPs": "app.outerip.quota",
    "created": "app.createtime",
}  # fmt: skip
_COUNTED: Final = {
    "CPU": ("cpu", "countCpu"), "memory MB": ("memory", "countMemory"), "storage GB": ("storage", "countStorage"),
    "networks": ("portGroupSize", "countPortGroupSize"), "outer IPs": ("outerIpSize", "countOuterIpSize"),
}  # fmt: skip
"""Resource -> the fields of what is left and of the limit."""


@tenant_app.command("list", epilog="Example: starvc tenant list --name shop --json")
def list_tenants(
    name: Annotated[str, typer.Option(help="Only those whose name contains this.")] = "",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """All tenants with their quotas, newest first."""
    with connected(url, token) as server:
        show_rows(server.ask("POST", "cloudTenant/search", {"app.name": name}), _COLUMNS, as_json=as_json)


@tenant_app.command("create", epilog="Example: starvc tenant create shop --cpu 40 --memory 80000 --storage 2000")
def create(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    desc: Annotated[str, typer.Option(help="A description.")] = "",
    cpu: Cores = None,
    memory: Megabytes = None,
    storage: Gigabytes = None,
    networks: Networks = None,
    outer_ips: Addresses = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """A new tenant. Prints its id and its token, which is shown only now. Quotas that are not given are the server's
    defaults."""
    wanted = {
        "app.name": name, "app.desc": desc, "app.cpu.quota": cpu, "app.memory.quota": memory,
        "app.storage.quota": storage, "app.portgroup.quota": networks, "app.outerip.quota": outer_ips,
    }  # fmt: skip
    with connected(url, token) as server:
        made = server.ask("POST", "cloudTenant/create", wanted)
    if as_json:
        show_json(made)
        return
    show_one(made, {"id": "app.id", "token": "app.token"})
    say("The token is not shown again.")


@tenant_app.command("show", epilog="Example: starvc tenant show tenant-4f1c09")
def show(
    tenant: Annotated[str, typer.Argument(help="Its id.")],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """A tenant, and what is used of its quota."""
    with connected(url, token) as server:
        row = server.one("cloudTenant/search", {"app.id": tenant}, f"tenant {tenant}")
        usable = server.ask("POST", "resourcequota/usableQuota", {"tenant.id": tenant})
    if as_json:
        show_json({**row, "quota": usable})
        return
    show_one(row, {"id": "app.id", "name": "app.name", "description": "app.desc", "created": "app.createtime"})
    counted = [_counted(resource, usable[left], usable[limit]) for resource, (left, limit) in _COUNTED.items()]
    show_rows(counted, {name: name for name in ("resource", "limit", "used", "left")}, as_json=False, title="Quota")


def _counted(resource: str, left: int, limit: int) -> dict[str, Any]:
    return {"resource": resource, "limit": limit, "used": limit - left, "left": left}
