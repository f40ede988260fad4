"""Small private files: written whole or not at all, readable by their owner only; and files that one process holds.

The worst moment is a crash between the first and the last byte: a new file stands under another name until it is
complete and on the disk. Two processes that start at once: `create_private` and `hold` let exactly one of them win.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def replace_private(path: Path, text: str) -> None:
    """`path` holds `text` when this returns, whatever it held before."""
    with _complete(path, text) as draft:
        draft.replace(path)


def create_private(path: Path, text: str) -> bool:
    """`path` holds `text`, unless it existed: then nothing is changed and the answer is False."""
    with _complete(path, text) as draft:
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return False
    return True


def hold(path: Path) -> int | None:
    """A descriptor of the file, which is nobody else's until it is closed or its process has died, however it died.
    None: another process holds it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


@contextmanager
def _complete(path: Path, text: str) -> Iterator[Path]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600 from the first moment
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield draft
        _sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
