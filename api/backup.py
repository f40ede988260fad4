"""The data folder in one file, taken while the product runs, and put back into an empty folder.

The races. Each SQLite file is copied as one of its transactions left it: online, within one read transaction. Lines and
the mark up to which they have been made are in several files, so the file with the marks is copied first: whatever is
made in the meantime is made again. The state and all that is not a series are copied while the state takes no writes:
together they are what kill -9 at that moment would have left, and the next start recovers as it does from that. Nobody
finds half a backup or restores half of one under the name of a whole: a file gets its name, and a folder its database,
at the end.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import select

from api.parts import SERIES_FOLDER
from core.db.engine import SQLITE_FILE, open_database
from core.errors import Conflict, Invalid, NotFound
from core.settings import Settings
from core.timeseries.opening import is_served
from core.timeseries.store import Level

Progress = Callable[[int, int], None]
"""Bytes done, and of how many."""

_SQLITE: Final = b"SQLite format 3\x00"
_BESIDE: Final = ("-wal", "-shm", "-journal")
"""Ends of the files that SQLite keeps beside its own: what they hold is in the copy."""
_MARKS: Final = f"{Level.MINUTE}.db"
_PAGES: Final = 2048


def backup(settings: Settings, file: Path, progress: Progress) -> None:
    """`file` holds the data folder when this returns.

    Raises Conflict when it exists, Invalid when it stands in that folder, NotFound without a folder, OSError,
    sqlite3.Error, and OperationalError when the state does not pause within `core.db.engine.BUSY_SECONDS`.
    """
    folder = settings.data_dir
    if not folder.is_dir():
        raise NotFound("data_dir", str(folder))
    if file.exists():
        raise Conflict("file", str(file), "exists already")
    if file.absolute().is_relative_to(folder.absolute()):
        raise Invalid("file", f"{file} is in the data folder", "a place outside")
    done, total = 0, sum(source.stat().st_size for source in (*_series(folder), *_others(folder)))
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as scratch:
        draft, copies = Path(scratch) / "draft", Path(scratch) / "copies"

        def copy(source: Path) -> Path:
            nonlocal done
            target = copies / source.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            size = source.stat().st_size
            _copy(source, target, lambda share: progress(done + int(size * share), total))
            done += size
            return target

        with draft.open("xb") as handle:
            draft.chmod(0o600)
            with tarfile.open(fileobj=handle, mode="w") as archive:
                for source in _series(folder):
                    _pack(archive, copy(source), copies)
                with _held(settings):
                    rest = [copy(source) for source in _others(folder)]
                for copied in rest:
                    _pack(archive, copied, copies)
            os.fsync(handle.fileno())
        draft.rename(file)


def restore(settings: Settings, file: Path, progress: Progress) -> None:
    """The data folder is as the backup has it. Raises Conflict when it is not empty, Invalid when `file` is no backup,
    OSError."""
    folder = settings.data_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Conflict("data_dir", str(folder), "is not empty")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".restore-") as scratch:
        try:
            _unpack(file, Path(scratch), progress)
        except tarfile.TarError as problem:
            raise Invalid("file", f"{file} is no backup: {problem}", "a file that `starvc backup` made") from problem
        for item in sorted(Path(scratch).iterdir(), key=lambda item: item.name == SQLITE_FILE):
            item.rename(folder / item.name)


def elsewhere(settings: Settings) -> Iterator[str]:
    """What is not in the data folder, and how it is called in the settings."""
    if settings.database_url is not None:
        yield "the state (STARVC_DATABASE_URL)"
    if is_served(settings):
        yield "the series (STARVC_STORE)"
    if settings.sim_dir is not None:
        yield "the simulated data centre (STARVC_SIM_DIR)"


def _series(folder: Path) -> Sequence[Path]:
    """The file with the marks first."""
    return sorted(_files(folder / SERIES_FOLDER), key=lambda file: file.name != _MARKS)


def _others(folder: Path) -> Sequence[Path]:
    return [file for file in _files(folder) if file.parent != folder / SERIES_FOLDER]


def _files(folder: Path) -> Iterator[Path]:
    """Without those that have no name yet (`core.files`) and those that SQLite keeps beside its own."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.name.startswith(".") and not file.name.endswith(_BESIDE):
            yield file


@contextmanager
def _held(settings: Settings) -> Iterator[None]:
    """No state is written. On PostgreSQL it is not in the folder, and nothing is held."""
    if settings.database_url is not None or not (settings.data_dir / SQLITE_FILE).exists():
        yield
        return
    with closing(open_database(settings)) as database, database.platform(write=True) as session:
        session.execute(select(1))
        yield


def _copy(source: Path, target: Path, progress: Callable[[float], None]) -> None:
    with source.open("rb") as file:
        if file.read(len(_SQLITE)) != _SQLITE:
            file.seek(0)
            target.write_bytes(file.read())
            return
    with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as origin:
        origin.execute("BEGIN")
        origin.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on, one snapshot
        with closing(sqlite3.connect(target)) as copied:
            origin.backup(copied, pages=_PAGES, progress=lambda _, left, pages: progress(1 - left / max(pages, 1)))


def _pack(archive: tarfile.TarFile, copied: Path, root: Path) -> None:
    archive.add(copied, copied.relative_to(root), filter=_owned)
    copied.unlink()


def _owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mode, member.uid, member.gid, member.uname, member.gname = 0o600, 0, 0, "", ""
    return member


def _unpack(file: Path, folder: Path, progress: Progress) -> None:
    total = file.stat().st_size
    with tarfile.open(file, "r:") as archive:
        for member in archive:
            _put(archive, member, folder)
            progress(archive.offset, total)


def _put(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Files alone, and none outside the folder, whatever the archive says: the standard library's filters for that are
    not in every Python 3.11."""
    name = Path(member.name)
    source = archive.extractfile(member) if member.isreg() else None
    if source is None or name.is_absolute() or ".." in name.parts:
        raise tarfile.ExtractError(f"{member.name} is no file of a data folder")
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("xb") as handle:
        target.chmod(0o600)
        shutil.copyfileobj(source, handle)
