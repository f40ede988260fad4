"""`starvc secrets`: the files of secrets that `docker-compose.yml` hands to its services."""

from __future__ import annotations

import base64
import secrets as random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from core.context import Role
from core.secrets import new_token

_KEY_BYTES: Final = 32
_console = Console()


def _key() -> str:
    return base64.b64encode(random.token_bytes(_KEY_BYTES)).decode()


_MAKERS: Final[Mapping[str, Callable[[], str]]] = {
    "postgres_password": random.token_urlsafe,
    "influxdb_password": random.token_urlsafe,
    "starvc_store_token": random.token_urlsafe,
    "starvc_platform_token": lambda: new_token(Role.PLATFORM),
    "starvc_token_key": _key,
    "starvc_sealing_keys": _key,
}


def secrets(folder: Annotated[Path, typer.Argument(help="Where they are to stand.")] = Path("secrets")) -> None:
    """Make the secrets of a docker compose installation, those that are not there yet. Keep them: without the keys, the
    tokens and passwords in the database are worth nothing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, make in _MAKERS.items():
        _make(folder / name, make)
    password = (folder / "postgres_password").read_text("ascii").strip()
    _make(folder / "starvc_database_url", lambda: f"postgresql://starvc:{password}@postgres/starvc")


def _make(file: Path, make: Callable[[], str]) -> None:
    """Readable by all inside a folder that only its owner enters: containers read it as a user of their own."""
    if file.exists():
        _console.print(f"{file} is kept", highlight=False)
        return
    file.write_text(make() + "\n", "ascii")
    file.chmod(0o644)
    _console.print(f"{file} is made", highlight=False)
