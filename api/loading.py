"""Loading modules without searching them for garbage: what is loaded stays for ever. The search would take an eighth of
every start, and then again and again while the process runs."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
