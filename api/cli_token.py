"""`starvc token`: the tokens of tenants. Talks to the running server."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from api.cli_connection import connected
from api.cli_server import DEFAULT_URL, Token, Url
from api.cli_tables import AsJson, Shown, say, show_json, show_one, show_rows

token_app = typer.Typer(no_args_is_help=True, help="Tokens of tenants: what their programs log in with.")

Tenant = Annotated[str, typer.Argument(help="Id of the tenant.")]

_COLUMNS: Final[Shown] = {"id": "token.id", "created": "token.createtime", "last used": "token.lastusedtime"}


@token_app.command("create", epilog="Example: starvc token create tenant-4f1c09")
def create(tenant: Tenant, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """One more token for a tenant; its others stay valid. Its text is shown only now."""
    made = _change(url, token, {"app.id": tenant, "token.action": "issue"})
    if as_json:
        show_json(made)
        return
    show_one(made, {"id": "token.id", "token": "app.token"})
    say("The token is not shown again.")


@token_app.command("list", epilog="Example: starvc token list tenant-4f1c09")
def list_tokens(tenant: Tenant, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """The valid tokens of a tenant, newest first; never their texts."""
    show_rows(_change(url, token, {"app.id": tenant, "token.action": "list"}), _COLUMNS, as_json=as_json)


@token_app.command("revoke", epilog="Example: starvc token revoke tenant-4f1c09 token-88a2b1")
def revoke(
    tenant: Tenant,
    token_id: Annotated[str, typer.Argument(help="Id of the token.")],
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """The token is refused from the next request on."""
    _change(url, token, {"app.id": tenant, "token.action": "revoke", "token.id": token_id})
    say(f"{token_id} is revoked")


def _change(url: str, token: str, wanted: dict[str, object]) -> Any:
    with connected(url, token) as server:
        return server.ask("PUT", "cloudTenant/token", wanted)
