"""The running server that a command talks to: its address, a token for it, and how a command gives up."""

from __future__ import annotations

from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console

from api.settings import SettingsError, load
from core.settings import Settings
from core.tenancy.tokens import PLATFORM_TOKEN_FILE

DEFAULT_URL: Final = "http://127.0.0.1:18081"
Url = Annotated[str, typer.Option(envvar="STARVC_URL", help="Address of the running server.")]
Token = Annotated[
    str, typer.Option(envvar="STARVC_PLATFORM_TOKEN", help="Default: the file platform-token of the data folder.")
]
_errors = Console(stderr=True)


def fail(reason: str) -> NoReturn:
    """End the command with a reason for people."""
    _errors.print(reason, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1)


def settings_in_force() -> Settings:
    """The settings; ends the command with all that is wrong with them."""
    try:
        return load()
    except SettingsError as problem:
        fail(str(problem))


def token_or_saved(token: str) -> str:
    """The token that was given, else the platform's from the data folder."""
    if token:
        return token
    file = settings_in_force().data_dir / PLATFORM_TOKEN_FILE
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as problem:
        fail(f"no token: give --token or STARVC_PLATFORM_TOKEN, or let {file} be readable ({problem.strerror})")
