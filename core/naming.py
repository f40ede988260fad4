"""Names in refusals: enough to find them, never a page of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_MOST: Final = 10


def some(names: Sequence[str]) -> str:
    """`a, b and 3 more`"""
    more = len(names) - _MOST
    return ", ".join(names[:_MOST]) + (f" and {more} more" if more > 0 else "")
