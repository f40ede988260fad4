"""`starvc backup` and `starvc restore`: the data folder in one file, beside a product that runs, and back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy.exc import OperationalError

from api.cli_server import fail, settings_in_force
from core.errors import Fault

if TYPE_CHECKING:
    from api.backup import Progress as Told

_console = Console()


def backup(file: Annotated[Path, typer.Argument(help="The file to make, such as starvc-2026-01-31.tar.")]) -> None:
    """Copy the data folder into a file. The product may run: nothing that it has acknowledged before is missing."""
    from api.backup import backup as run
    from api.backup import elsewhere

    settings = settings_in_force()
    _show("backup", lambda told: run(settings, file, told))
    _console.print(f"{file}: all of {settings.data_dir}", soft_wrap=True, highlight=False)
    for what in elsewhere(settings):
        _console.print(f"not in it: {what}", style="yellow", soft_wrap=True, highlight=False)


def restore(file: Annotated[Path, typer.Argument(help="A file that `starvc backup` made.")]) -> None:
    """Fill an empty data folder from a backup. The product whose backup it is must not run any more."""
    from api.backup import restore as run

    settings = settings_in_force()
    _show("restore", lambda told: run(settings, file, told))
    _console.print(f"{settings.data_dir}: all of {file}", soft_wrap=True, highlight=False)


def _show(title: str, work: Callable[[Told], None]) -> None:
    """With a bar, or the reason why not."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(title, total=None)
            work(lambda done, total: progress.update(task, completed=done, total=total))
    except (Fault, OSError, sqlite3.Error, OperationalError) as problem:
        fail(f"{title}: {problem}")
