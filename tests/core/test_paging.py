"""Which rows a search returns."""

from __future__ import annotations

import pytest

from core.errors import Invalid
from core.paging import Paged, Window, window


@pytest.mark.parametrize(
    ("paged", "page_numbers", "expected"),
    [
        (Paged(), False, Window(0, None)),
        (Paged(start=1, limit=30), False, Window(0, 30)),
        (Paged(start=11, limit=10), False, Window(10, 10)),
        (Paged(start=2, limit=10), True, Window(10, 10)),
        (Paged(start=1, limit=10), True, Window(0, 10)),
    ],
)
def test_windows(paged: Paged, page_numbers: bool, expected: Window) -> None:
    assert window(paged, page_numbers=page_numbers) == expected


@pytest.mark.parametrize(("paged", "field"), [(Paged(start=1), "limit"), (Paged(limit=1), "start")])
def test_one_parameter_alone_is_refused_and_the_other_named(paged: Paged, field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        window(paged, page_numbers=False)
    assert refusal.value.field == field
