"""One writing process per folder: an advisory lock that the kernel drops when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from core.timeseries.store import StoreUnavailable


class WriterLock:
    """Held from construction until `release`. Raises StoreUnavailable, naming the holder, when it is taken."""

    def __init__(self, folder: Path) -> None:
        path = folder / "writer.lock"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._file, 32).decode("ascii", "replace").strip()
            os.close(self._file)
            raise StoreUnavailable(f"{folder} is being written by process {holder or 'unknown'}") from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        os.close(self._file)
