"""One writing process per folder."""

from __future__ import annotations

import os
from pathlib import Path

from core.files import hold
from core.timeseries.store import StoreUnavailable


class WriterLock:
    """Held from construction until `release`. Raises StoreUnavailable, naming the holder, when it is taken."""

    def __init__(self, folder: Path) -> None:
        path = folder / "writer.lock"
        held = hold(path)
        if held is None:
            holder = path.read_bytes()[:32].decode("ascii", "replace").strip()
            raise StoreUnavailable(f"{folder} is being written by process {holder or 'unknown'}")
        self._file = held
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        os.close(self._file)
