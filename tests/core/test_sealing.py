"""Sealed texts open in their own place, with their own key, and nowhere else."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Invalid
from core.sealing import KEY_FILE, Place, Sealed, SealingKeys, Unsealable, sealing_keys
from core.settings import Settings

HERE = Place("vm", "vnc_password", "vm-1")
KEYS = SealingKeys({"k1": bytes(32)})


@given(st.text())
def test_what_is_sealed_opens_again(plain: str) -> None:
    assert KEYS.open(KEYS.seal(plain, HERE), HERE) == plain


@pytest.mark.parametrize(
    "elsewhere",
    [Place("vm", "vnc_password", "vm-2"), Place("vm", "name", "vm-1"), Place("disk", "vnc_password", "vm-1")],
)
def test_a_sealed_text_does_not_open_in_another_place(elsewhere: Place) -> None:
    with pytest.raises(Unsealable, match="another place"):
        KEYS.open(KEYS.seal("secret", HERE), elsewhere)


@pytest.mark.parametrize(
    "damaged", ["", "v1", "v1.k1.!", "v1.k1.AAAA", "v1.k1." + base64.b64encode(bytes(40)).decode()]
)
def test_what_was_changed_does_not_open(damaged: str) -> None:
    with pytest.raises(Unsealable):
        KEYS.open(Sealed(damaged), HERE)


def test_the_same_text_is_sealed_differently_each_time_and_shown_never() -> None:
    one, other = KEYS.seal("secret", HERE), KEYS.seal("secret", HERE)
    assert one.text != other.text
    assert f"{one!r} {one} {KEYS!r}" == "*** *** SealingKeys()"


def test_a_new_key_seals_and_the_old_one_still_opens(tmp_path: Path) -> None:
    old = sealing_keys(Settings(data_dir=tmp_path)).seal("secret", HERE)
    file = tmp_path / KEY_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    new = base64.b64encode(bytes(range(32))).decode()
    both = sealing_keys(Settings(data_dir=tmp_path, sealing_keys=f"{new} {file.read_text()}"))
    assert both.open(old, HERE) == "secret"
    alone = sealing_keys(Settings(data_dir=tmp_path, sealing_keys=new))
    assert alone.open(both.seal("secret", HERE), HERE) == "secret"
    with pytest.raises(Unsealable, match="does not hold"):
        alone.open(old, HERE)


@pytest.mark.parametrize("text", ["", "short", base64.b64encode(bytes(31)).decode()])
def test_damaged_keys_stop_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / KEY_FILE).write_text(text)
    with pytest.raises(Invalid, match="damaged"):
        sealing_keys(Settings(data_dir=tmp_path))
