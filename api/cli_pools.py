"""`starvc pool`: the pools of outer IPs. Talks to the running server."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from api.cli_connection import connected, in_path
from api.cli_server import DEFAULT_URL, Token, Url
from api.cli_tables import AsJson, Shown, say, show_rows

pool_app = typer.Typer(no_args_is_help=True, help="Pools of outer IPs: what routers, mappings and load balancers take.")

_COLUMNS: Final[Shown] = {
    "id": "pool.id", "first": "pool.first", "last": "pool.last", "gateway": "pool.gateway", "netmask": "pool.netmask",
    "addresses": "pool.size", "in use": "pool.taken",
}  # fmt: skip


@pool_app.command(
    "add", epilog="Example: starvc pool add 203.0.113.16/28 --gateway 203.0.113.1 --netmask 255.255.255.0"
)
def add(
    addresses: Annotated[str, typer.Argument(help="203.0.113.0/24, 203.0.113.10-203.0.113.99 or one address.")],
    gateway: Annotated[str, typer.Option(help="Gateway of their network; it is left out of the pool.")],
    netmask: Annotated[str, typer.Option(help="Netmask of their network; default: the block's own.")] = "",
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Let tenants use these outer IPs. Prints the pool's id."""
    wanted = {"pool.addresses": addresses, "pool.gateway": gateway, "pool.netmask": netmask}
    with connected(url, token) as server:
        say(server.ask("POST", "cloudip/pool/create", wanted)["pool.id"])


@pool_app.command("list", epilog="Example: starvc pool list --json")
def list_pools(as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """All pools, newest first."""
    with connected(url, token) as server:
        show_rows(server.ask("POST", "cloudip/pool/search", {}), _COLUMNS, as_json=as_json)


@pool_app.command("delete", epilog="Example: starvc pool delete pool-01hzy3v7k2m9q8r4t6wx")
def delete(pool: Annotated[str, typer.Argument(help="Its id.")], url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Take a pool back. Refused while some of its addresses are in use, naming who uses them."""
    with connected(url, token) as server:
        server.ask("DELETE", f"cloudip/pool/{in_path(pool)}")
    say(f"{pool} is gone")
