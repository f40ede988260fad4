"""`starvc`: the command line. Each group of commands is a module `api.cli_*` of its own."""

from __future__ import annotations

import json
import sys
import threading
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from api import (
    cli_audit,
    cli_backup,
    cli_host,
    cli_maintenance,
    cli_notify,
    cli_pools,
    cli_roles,
    cli_rules,
    cli_secrets,
    cli_sim,
    cli_task,
    cli_template,
    cli_tenant,
    cli_token,
    cli_vm,
)
from api.cli_server import DEFAULT_URL, Token, Url, fail, settings_in_force, token_or_saved
from api.loading import loading
from api.settings import markdown, masked
from core import __version__

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Watches a private cloud and runs it.")
_console = Console()
app.command("api")(cli_roles.api)
app.command("collector")(cli_roles.collector)
app.command("aggregator")(cli_roles.aggregator)
app.command("secrets")(cli_secrets.secrets)
app.command("audit")(cli_audit.audit)
app.command("backup")(cli_backup.backup)
app.command("restore")(cli_backup.restore)
app.add_typer(cli_host.host_app, name="host")
app.add_typer(cli_maintenance.maintenance_app, name="maintenance")
app.add_typer(cli_notify.notify_app, name="notify")
app.add_typer(cli_pools.pool_app, name="pool")
app.add_typer(cli_rules.rules_app, name="rules")
app.add_typer(cli_sim.sim_app, name="sim")
app.add_typer(cli_task.task_app, name="task")
app.add_typer(cli_template.template_app, name="template")
app.add_typer(cli_tenant.tenant_app, name="tenant")
app.add_typer(cli_token.token_app, name="token")
app.add_typer(cli_vm.vm_app, name="vm")


@app.callback(invoke_without_command=True)
def _version(*, version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        _console.print(f"starvc {__version__}")
        raise typer.Exit


@app.command()
def up() -> None:
    """Run everything in this process: collector, rollups, rules, API, console, and the simulated data centre."""
    settings = settings_in_force()
    with loading():
        from api.greeting import greet  # bad settings and other commands need not wait for these
        from api.up import running

    cli_roles.keep_up(settings, running, greet)


@app.command()
def agent(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",  # noqa: S104 (scraped from outside)
    port: Annotated[int, typer.Option(help="Port; node_exporter's by default.")] = 9100,
) -> None:
    """Serve this machine's CPU, memory, disks and network, as node_exporter does."""
    from api.agent import PATH, agent_server
    from api.serving import listen
    from api.up import until_told

    try:
        server = agent_server(listen(host, port))
    except OSError as problem:
        fail(f"{host}:{port}: {problem.strerror}")
    server.start()
    _console.print(f"http://{host}:{server.port}{PATH}")
    until_told(threading.Event())
    server.stop()


@app.command()
def config(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="The table of all settings, with defaults.")] = False,
) -> None:
    """Show the settings in force, secrets masked."""
    if as_markdown:
        sys.stdout.write(markdown())
        return
    shown = masked(settings_in_force())
    if as_json:
        _console.print_json(json.dumps(shown))
        return
    table = Table("environment", "value", box=None)
    for name, value in shown.items():
        table.add_row(f"STARVC_{name.upper()}", value)
    _console.print(table)


@app.command()
def call(
    path: Annotated[str, typer.Argument(help="Path of the operation, such as cloudhost/search.")],
    params: Annotated[str, typer.Argument(help="Parameters as a JSON object.")] = "{}",
    method: Annotated[str, typer.Option(help="HTTP method, where a path has several.")] = "",
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Call an operation of the API and show its answer, Base64 taken off."""
    import httpx

    from api.wire.client import NotAnAnswer, StarVCenter, UnknownOperation

    try:
        given = json.loads(params)
    except ValueError as problem:
        fail(f"the parameters are not JSON: {problem}")
    if not isinstance(given, dict):
        fail('the parameters must be a JSON object, such as \'{"vm.name": "web"}\'')
    with StarVCenter(url, token_or_saved(token), language="en") as server:
        try:
            answer = server.call(method or server.method(path), path, given)
        except (UnknownOperation, NotAnAnswer) as problem:
            fail(str(problem))
        except httpx.HTTPError as problem:
            fail(f"{url} cannot be reached: {problem}")
    if not answer.succeeded:
        fail(f"{answer.result}: {answer.text}")
    shown = {"data": answer.data, "startid": answer.task_id, "dataCount": answer.total}
    _console.print_json(json.dumps({name: value for name, value in shown.items() if value is not None}))
