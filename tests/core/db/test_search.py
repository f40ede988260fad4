"""The one mechanism of searches: filters mean the same on both databases, pages partition the rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.db.engine import Database
from core.errors import Invalid
from core.settings import Settings
from core.tenancy.rows import Quota, Tenant
from core.tenancy.tenants import FindTenants, search
from tests.support.requests import Desk

ROWS = 37


def fill(desk: Desk, names: list[str]) -> None:
    """Every two rows are of the same instant: the id orders them."""
    with desk.database.platform(write=True) as session:
        for number, name in enumerate(names):
            born = desk.clock.now() + timedelta(seconds=number // 2)
            session.add(Tenant(id=f"t{number:03}", name=name, created_at=born))
            session.flush()
            session.add(Quota(tenant_id=f"t{number:03}"))


@contextmanager
def filled(folder: Path, names: list[str]) -> Iterator[Desk]:
    with closing(Database(f"sqlite:///{folder / 'a.db'}")) as database:
        database.migrate()
        desk = Desk(database, Settings(data_dir=folder))
        fill(desk, names)
        yield desk


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with filled(tmp_path_factory.mktemp("many"), ["n"] * ROWS) as desk:
        yield desk


def ids(desk: Desk, find: FindTenants) -> list[str]:
    return [row.id for row in desk.platform(search, find).rows]


def test_without_paging_all_rows_come_newest_first_then_by_id(many: Desk) -> None:
    expected = [f"t{number:03}" for number in sorted(range(ROWS), key=lambda number: (-(number // 2), number))]
    assert ids(many, FindTenants()) == expected


@given(st.integers(1, 50), st.integers(1, 30))
def test_a_page_is_the_slice_at_its_position_and_carries_the_total(many: Desk, start: int, limit: int) -> None:
    everything = ids(many, FindTenants())
    page = many.platform(search, FindTenants(start=start, limit=limit))
    assert [row.id for row in page.rows] == everything[start - 1 : start - 1 + limit]
    assert page.total == ROWS


@given(st.integers(1, 30))
def test_numbered_pages_partition_the_rows(many: Desk, limit: int) -> None:
    numbered = Desk(many.database, Settings(data_dir=many.settings.data_dir, page_numbers=True))
    pages = [ids(numbered, FindTenants(start=number, limit=limit)) for number in range(1, ROWS // limit + 3)]
    assert [row for page in pages for row in page] == ids(many, FindTenants())


@pytest.mark.parametrize(("find", "field"), [(FindTenants(start=1), "limit"), (FindTenants(limit=1), "start")])
def test_one_paging_parameter_alone_is_refused(many: Desk, find: FindTenants, field: str) -> None:
    with pytest.raises(Invalid, match=f"{field}: .*both paging parameters or neither"):
        many.platform(search, find)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("ABC", ["t000", "t001"]),
        ("%", ["t002"]),
        ("_", ["t003"]),
        ("/", ["t004"]),
        ("\\", ["t005"]),
        ("äÖ", ["t006"]),
        ("主机", ["t007"]),
        ("'; DROP TABLE tenant", ["t008"]),
        ("", [f"t{number:03}" for number in range(9)]),
        ("nothing like it", []),
        ("\0", []),
        ("\ud800", []),
    ],
)
def test_a_part_of_a_name_is_found_literally_whatever_the_case(desk: Desk, wanted: str, found: list[str]) -> None:
    fill(desk, ["abcd", "xABC", "a%b", "a_b", "a/b", "a\\b", "ÄÖÜ", "云主机", "x'; drop table tenant"])
    assert sorted(ids(desk, FindTenants(name=wanted))) == found


ODD = [
    "VM-1",
    "Kelvin",
    "\u212aelvin",
    "\u0130stanbul",
    "istanbul",
    "STRASSE",
    "Stra\u00dfe",
    "云主机-Ab",
    "ÀÉ",
    "àé",
    "a%_/b",
]
"""The Kelvin sign and the dotted I are not ASCII, and fold to letters that are."""


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with filled(tmp_path_factory.mktemp("odd"), ODD) as desk:
        yield desk


@given(st.text("kK\u212aiI\u0130\u0307sS\u00dfaAàÀéÉ云-%_/b1", min_size=1, max_size=3))
def test_letters_of_all_alphabets_are_folded_alike(odd: Desk, wanted: str) -> None:
    found = {row.name for row in odd.platform(search, FindTenants(name=wanted)).rows}
    assert found == {name for name in ODD if wanted.lower() in name.lower()}


@pytest.mark.parametrize("wanted", ["t00", "T000", "t%", "\0", "\ud800"])
def test_an_exact_filter_finds_the_whole_value_only(desk: Desk, wanted: str) -> None:
    fill(desk, ["a"])
    assert ids(desk, FindTenants(id="t000")) == ["t000"]
    assert ids(desk, FindTenants(id=wanted)) == []
