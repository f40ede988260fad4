"""A real PostgreSQL for tests: the server that STARVC_DATABASE_URL names, or else one for the session; a database for
each test.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, make_url

from tests.support import real
from tests.support.real import HERE, Place, eventually

_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=120", "shared_buffers=32MB")
_INITDB = ("-N", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
ELSEWHERE = os.environ.get("STARVC_DATABASE_URL", "")
"""The server that all state is on, when the tests are told one."""


@dataclass(frozen=True)
class Server:
    """`door`: the database through which others are made and dropped."""

    door: URL

    def url(self, database: str) -> str:
        return _text(self.door.set(drivername="postgresql+psycopg", database=database))

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """The URL of a new database, a copy of `template` (the default: empty), which is gone afterwards."""
        name = f"starvc_test_{secrets.token_hex(6)}"
        self._do(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self._do(f"DROP DATABASE {name} WITH (FORCE)")

    def _do(self, statement: str) -> None:
        with psycopg.connect(_text(self.door.set(drivername="postgresql")), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]  # not a literal, but built from our own names alone


def elsewhere() -> Server:
    return Server(make_url(ELSEWHERE))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """The server; skips without PostgreSQL's programs, unless STARVC_REQUIRE names `postgresql`."""
    if ELSEWHERE:
        yield elsewhere()
        return
    with running(_FAST) as server:
        yield Server(server.door)


@dataclass
class Restartable:
    """A server of our own, for as long as a block lasts. `start` is there again as soon as it has recovered."""

    door: URL
    place: Place
    command: Sequence[str]
    log: Path
    _process: ExitStack = field(default_factory=ExitStack)
    _current: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        up = real.server(self.command, lambda: _ready(self.door), self.log, seconds=30)
        self._current = self._process.enter_context(up)

    def stop(self) -> None:
        """Without waiting for clients to leave."""
        if self._current is not None:
            self._end(signal.SIGINT)

    def quit(self) -> None:
        """As `pg_ctl stop -m immediate`: it breaks off, and recovers at the next start."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """kill -9 of all its processes."""
        assert self._current is not None
        pid = self._current.pid
        backends = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        self._current.kill()
        for backend in backends:
            with suppress(ProcessLookupError):
                os.kill(int(backend), signal.SIGKILL)
        eventually(lambda: not any(Path(f"/proc/{backend}").exists() for backend in backends))
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        assert self._current is not None
        self._current.send_signal(how)
        self._current.wait(20)
        self._process.close()
        self._current = None


@contextmanager
def running(settings: Sequence[str] = (), place: Place | None = None) -> Iterator[Restartable]:
    """A server on new files: reached through its socket folder, or at the address of a place that is named. Skips
    without PostgreSQL's programs."""
    initdb, postgres = _program("initdb"), _program("postgres")
    folder = Path(tempfile.mkdtemp(prefix="starvc-pg-"))
    as_owner = _as_owner(folder)
    data = folder / "data"
    try:
        _run([*as_owner, initdb, "-D", str(data), *_INITDB])
        command = [*(place.door if place else ()), *as_owner, postgres, "-D", str(data), "-k", str(folder)]
        command += ["-c", f"listen_addresses={place.address if place else ''}"]
        command += [word for setting in settings for word in ("-c", setting)]
        where = f"@{place.address}/postgres" if place else f"@/postgres?host={folder}"
        if place:
            with (data / "pg_hba.conf").open("a", encoding="ascii") as rules:
                rules.write("host all all samenet trust\n")
        server = Restartable(make_url(f"postgresql://postgres{where}"), place or HERE, command, folder / "log")
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


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
    folder.chmod(0o755)  # so that processes of other users reach the socket
    return ("setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups")


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _ready(door: URL) -> bool:
    try:
        psycopg.connect(_text(door), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
