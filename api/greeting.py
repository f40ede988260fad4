"""What `starvc up` says when it is up: addresses, tokens, and a first command to try."""

from __future__ import annotations

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from api.cli_server import DEFAULT_URL
from api.up import Announced
from api.wire.app import BASE, SERVICES
from core import __version__
from core.settings import Settings
from core.tenancy.tokens import PLATFORM_TOKEN_FILE


def greet(settings: Settings, announced: Announced) -> None:
    """Say on standard output where everything is, and what to try first."""
    console = Console()
    lines = Table.grid(padding=(0, 2))
    lines.add_row("Console", f"{announced.url}/")
    lines.add_row("API", f"{announced.url}{BASE}")
    lines.add_row("Its description", f"{announced.url}{SERVICES}")
    lines.add_row("Metrics", f"{announced.url}/metrics")
    lines.add_row(
        "Watched", f"{announced.hosts} simulated hosts, {announced.vms} VMs" + (", this machine" * settings.agent)
    )
    lines.add_row("Platform token", announced.platform_token or f"in {settings.data_dir / PLATFORM_TOKEN_FILE}")
    if announced.demo_token:
        lines.add_row("Demo tenant", announced.demo_token)
    console.print(Panel(lines, title=f"starvc {__version__}", expand=False))
    at = "" if announced.url == DEFAULT_URL else f" --url {announced.url}"
    console.print("Try:")
    console.print(f"  starvc call cloudhost/search{at}", highlight=False, soft_wrap=True)
    console.print(
        f"  curl -s -X POST -H 'KEY_TOKEN: TOKEN' {announced.url}{BASE}/cloudhost/search | base64 -d", soft_wrap=True
    )
