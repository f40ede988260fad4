"""What `starvc up` says when it is up: addresses, tokens, and a first command to try.

One thing a line, never wrapped or cut: it is copied from terminals and from logs.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from api.cli_server import DEFAULT_URL
from api.up import Announced
from api.wire.app import BASE, SERVICES
from core import __version__
from core.settings import Settings
from core.tenancy.tokens import PLATFORM_TOKEN_FILE

_INDENT = 18


def greet(settings: Settings, announced: Announced) -> None:
    """Say on standard output where everything is, and what to try first."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"\n[bold]starvc {__version__}[/bold] is up\n")
    for name, text in _facts(settings, announced):
        console.print(Text(f"  {name:{_INDENT}}", style="dim"), Text(text), sep="")
    at = "" if announced.url == DEFAULT_URL else f" --url {announced.url}"
    console.print("\nTry:\n")
    console.print(Text(f"  starvc call cloudhost/search{at}"))
    console.print(Text(f"  curl -s -X POST -H 'KEY_TOKEN: TOKEN' {announced.url}{BASE}/cloudhost/search | base64 -d\n"))


def _facts(settings: Settings, announced: Announced) -> Iterator[tuple[str, str]]:
    yield "Console", f"{announced.url}/"
    yield "API", f"{announced.url}{BASE}"
    yield "Its description", f"{announced.url}{SERVICES}"
    yield "Metrics", f"{announced.url}/metrics"
    yield "Watched", ", ".join(_watched(settings, announced)) or "nothing yet: register a host with cloudhost/register"
    yield "Platform token", announced.platform_token or _where(settings)
    if announced.demo_token:
        yield "Demo tenant token", announced.demo_token


def _watched(settings: Settings, announced: Announced) -> Iterator[str]:
    if announced.hosts:
        yield f"{announced.hosts} simulated hosts with {announced.vms} VMs"
    if settings.agent:
        yield "this machine"


def _where(settings: Settings) -> str:
    if settings.platform_token:
        return "as STARVC_PLATFORM_TOKEN says"
    return f"in {settings.data_dir / PLATFORM_TOKEN_FILE}"
