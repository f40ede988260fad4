"""Which zone people read times in."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from core.errors import Invalid
from core.zone import server_zone, zone

JULY = datetime(2026, 7, 1)  # noqa: DTZ001


def test_a_named_zone() -> None:
    assert zone("Asia/Shanghai").utcoffset(JULY) == timedelta(hours=8)


@pytest.mark.parametrize("name", ["Nowhere/Town", "", "../etc/passwd", "/etc/localtime"])
def test_a_name_that_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="timezone"):
        zone(name)


@pytest.mark.parametrize("variable", ["Europe/Berlin", ":Europe/Berlin"])
def test_the_variable_decides_before_the_file(variable: str, tmp_path: Path) -> None:
    assert server_zone(variable, tmp_path / "none").utcoffset(JULY) == timedelta(hours=2)


def test_the_file_gives_rules_and_not_a_fixed_offset(tmp_path: Path) -> None:
    import tzdata

    rules = Path(tzdata.__file__).parent / "zoneinfo" / "Europe" / "Berlin"
    found = server_zone("", rules)
    assert found.utcoffset(JULY) == timedelta(hours=2)
    assert found.utcoffset(datetime(2026, 1, 1)) == timedelta(hours=1)  # noqa: DTZ001


@pytest.mark.parametrize("variable", ["", "CST-8-nonsense"])
def test_without_either_it_is_utc(variable: str, tmp_path: Path) -> None:
    assert server_zone(variable, tmp_path / "none").utcoffset(JULY) == timedelta()
