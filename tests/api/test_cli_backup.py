"""`starvc backup` and `starvc restore`: what they refuse, and what a backup does not hold."""

from __future__ import annotations

import sqlite3
import stat
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli import app

Run = Callable[..., Result]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "series").mkdir(parents=True)
    (folder / "token.key").write_text("precious", "utf-8")
    (folder / "series" / "writer.lock").write_text("1", "utf-8")
    (folder / ".token.key.draft").write_text("half of", "utf-8")
    with closing(sqlite3.connect(folder / "series" / "raw.db")) as database, database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES (7)")
    return folder


@pytest.fixture
def starvc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(folder: Path, *words: str, **settings: str) -> Result:
        named = {f"STARVC_{name.upper()}": value for name, value in settings.items()}
        return CliRunner(env={"STARVC_DATA_DIR": str(folder), **named}).invoke(app, words)

    return run


def test_what_is_restored_is_what_was_there_for_its_owner_alone(starvc: Run, data: Path, tmp_path: Path) -> None:
    assert starvc(data, "backup", "b.tar").exit_code == 0
    other = tmp_path / "other"
    assert starvc(other, "restore", "b.tar").exit_code == 0
    with closing(sqlite3.connect(other / "series" / "raw.db")) as database:
        assert database.execute("SELECT x FROM t").fetchall() == [(7,)]
    files = [file for file in other.rglob("*") if file.is_file() and not file.name.startswith("raw.db")]
    found = {str(file.relative_to(other)): file.read_text("utf-8") for file in files}
    assert found == {"token.key": "precious", "series/writer.lock": "1"}
    assert stat.S_IMODE((other / "token.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(other.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "b.tar").stat().st_mode) == 0o600


def test_nothing_is_overwritten(starvc: Run, data: Path, tmp_path: Path) -> None:
    assert starvc(data, "backup", "b.tar").exit_code == 0
    before = (tmp_path / "b.tar").read_bytes()
    again = starvc(data, "backup", "b.tar")
    assert (again.exit_code, "exists already" in again.stderr) == (1, True)
    into = starvc(data, "restore", "b.tar")
    assert (into.exit_code, "is not empty" in into.stderr) == (1, True)
    assert ((tmp_path / "b.tar").read_bytes(), (data / "token.key").read_text("utf-8")) == (before, "precious")


def test_a_backup_does_not_stand_in_what_it_is_of(starvc: Run, data: Path) -> None:
    refused = starvc(data, "backup", str(data / "b.tar"))
    assert (refused.exit_code, "outside" in refused.stderr) == (1, True)


def test_a_folder_that_is_not_there_and_a_file_that_is_no_backup_are_refused(starvc: Run, tmp_path: Path) -> None:
    missing = starvc(tmp_path / "none", "backup", "b.tar")
    assert (missing.exit_code, "does not exist" in missing.stderr) == (1, True)
    (tmp_path / "b.tar").write_bytes(b"what is this")
    refused = starvc(tmp_path / "new", "restore", "b.tar")
    assert (refused.exit_code, "is no backup" in refused.stderr) == (1, True)
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [("../out", tarfile.REGTYPE), ("/tmp/out", tarfile.REGTYPE), ("a/../../out", tarfile.REGTYPE),
     ("token.key", tarfile.SYMTYPE), ("token.key", tarfile.LNKTYPE), ("pipe", tarfile.FIFOTYPE)],
)  # fmt: skip
def test_an_archive_that_reaches_out_of_the_folder_is_no_backup(
    starvc: Run, tmp_path: Path, name: str, kind: bytes
) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        archive.addfile(member)
    refused = starvc(tmp_path / "new", "restore", "b.tar")
    assert (refused.exit_code, "is no file of a data folder" in refused.stderr.replace("\n", " ")) == (1, True)
    assert {path.name for path in tmp_path.rglob("*")} == {"b.tar", "new"}


def test_what_is_on_servers_is_said_not_to_be_in_it(starvc: Run, data: Path) -> None:
    done = starvc(data, "backup", "b.tar", database_url="postgresql://starvc@db/starvc", store="victoria+http://v:8428")
    assert done.exit_code == 0
    assert "not in it: the state (STARVC_DATABASE_URL)" in done.output
    assert "not in it: the series (STARVC_STORE)" in done.output
