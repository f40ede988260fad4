"""Tokens, keys and the private files they are kept in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.context import Role
from core.errors import Invalid
from core.files import create_private, replace_private
from core.secrets import KeyRing, is_damaged, key_ring, new_token
from core.settings import Settings


@pytest.mark.parametrize(("role", "prefix"), [(Role.PLATFORM, "svp_"), (Role.TENANT, "svt_")])
def test_a_token_says_its_kind_and_is_never_the_same(role: Role, prefix: str) -> None:
    tokens = {new_token(role) for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.startswith(prefix) and len(token) == 47 and not is_damaged(token) for token in tokens)


@given(st.integers(4, 46), st.characters(min_codepoint=33, max_codepoint=126))
def test_one_wrong_character_is_noticed(position: int, character: str) -> None:
    token = new_token(Role.TENANT)
    mistyped = token[:position] + character + token[position + 1 :]
    assert is_damaged(mistyped) == (mistyped != token)


@given(st.integers(4, 46))
def test_a_cut_token_is_noticed(length: int) -> None:
    assert is_damaged(new_token(Role.PLATFORM)[:length])


@given(st.text())
def test_any_text_may_be_presented(text: str) -> None:
    is_damaged(text)
    assert len(KeyRing(b"k" * 32).digest(text)) == 64


def test_a_lone_surrogate_may_be_presented() -> None:
    assert len(KeyRing(b"k" * 32).digest("\ud800")) == 64


def test_the_key_is_made_once_private_and_not_shown(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        rings = list(pool.map(lambda number: key_ring(Settings(data_dir=tmp_path, port=number)), range(8)))
    assert len({ring.key for ring in rings}) == 1
    assert (tmp_path / "token.key").stat().st_mode & 0o777 == 0o600
    assert repr(rings[0]) == "KeyRing()"


@pytest.mark.parametrize("content", ["", "not base64!", "c2hvcnQ=", "é"])
def test_a_damaged_key_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "token.key").write_text(content)
    with pytest.raises(Invalid, match=r"token\.key is damaged"):
        key_ring(Settings(data_dir=tmp_path))


def test_a_private_file_is_whole_private_and_alone_in_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "file"
    replace_private(file, "one")
    replace_private(file, "two")
    assert file.read_text() == "two"
    assert not create_private(file, "three")
    assert file.read_text() == "two"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]
