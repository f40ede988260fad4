"""Searches by page: which rows are wanted. Requests of searches inherit `Paged`, their queries apply `window`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from core.errors import Invalid

LARGEST_PAGE = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Paged:
    """Both or neither: without them, every row is wanted. `start` is the 1-based position of the first row."""

    start: Annotated[int, Ge(1)] | None = None
    limit: Annotated[int, Ge(1), Le(LARGEST_PAGE)] | None = None
    counts_pages: ClassVar[bool] = False
    """Of a search whose `start` is the 1-based number of the page."""


@dataclass(frozen=True, slots=True)
class Window:
    """`offset` rows are skipped; `limit` None: all that follow."""

    offset: int
    limit: int | None


def window(wanted: Paged, *, page_numbers: bool) -> Window:
    """The rows to read. `page_numbers`: `start` counts pages, not rows. Raises Invalid when only one of the two is
    given.
    """
    if wanted.start is None and wanted.limit is None:
        return Window(0, None)
    if wanted.start is None:
        raise Invalid("start", "is missing", "both paging parameters or neither")
    if wanted.limit is None:
        raise Invalid("limit", "is missing", "both paging parameters or neither")
    first = wanted.start - 1
    return Window(first * wanted.limit if page_numbers else first, wanted.limit)
