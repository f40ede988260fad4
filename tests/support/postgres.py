"""A real PostgreSQL for tests: one server for the session, one empty database per test."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
import pytest

from tests.support import real

_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=120", "shared_buffers=32MB")
_NUMBERS = count(1)


@dataclass(frozen=True)
class Server:
    """Reached through its socket folder alone: it listens on no address."""

    folder: Path

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """The URL of a new database, a copy of `template` (the default: empty), which is gone afterwards."""
        name = f"test_{next(_NUMBERS)}"
        self._do(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self._do(f"DROP DATABASE {name} WITH (FORCE)")

    def _do(self, statement: str) -> None:
        with psycopg.connect(f"host={self.folder} user=postgres dbname=postgres", autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]  # not a literal, but built from our own names alone


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """The server; skips without PostgreSQL's programs, unless STARVC_REQUIRE names `postgresql`."""
    initdb, postgres = _program("initdb"), _program("postgres")
    folder = Path(tempfile.mkdtemp(prefix="starvc-pg-"))
    as_owner = _as_owner(folder)
    try:
        data = folder / "data"
        _run(
            [
                *as_owner,
                initdb,
                "-D",
                str(data),
                "-N",
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
            ]
        )
        command = [*as_owner, postgres, "-D", str(data), "-k", str(folder), "-c", "listen_addresses="]
        command += [word for setting in _FAST for word in ("-c", setting)]
        with real.server(command, lambda: _ready(folder), folder / "log"):
            yield Server(folder)
    finally:
        shutil.rmtree(folder)


def _program(name: str) -> str:
    try:
        return real.binary(name)
    except pytest.skip.Exception:
        return real.require("postgresql", None)


def _as_owner(folder: Path) -> Sequence[str]:
    """PostgreSQL refuses to run as root: then its own user runs it."""
    if os.geteuid() != 0:
        return ()
    owner = pwd.getpwnam("postgres")
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    return ("setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups")


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _ready(folder: Path) -> bool:
    try:
        psycopg.connect(f"host={folder} user=postgres dbname=postgres").close()
    except psycopg.OperationalError:
        return False
    return True
