"""What a simulated VM shows, and how RFB says it."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import VirtualClock
from core.drivers.simulated import rfb, screen
from core.drivers.simulated.font import COLUMNS, GLYPHS, ROWS
from core.drivers.simulated.rfb import Area, PixelFormat, Unsupported
from tests.support.world import MemoryWorld


def test_every_printable_character_has_a_glyph_of_its_own() -> None:
    assert set(GLYPHS) == {chr(code) for code in range(32, 127)}
    assert all(glyph.shape == (ROWS, COLUMNS) for glyph in GLYPHS.values())
    assert len({glyph.tobytes() for glyph in GLYPHS.values()}) == len(GLYPHS)
    assert not GLYPHS[" "].any()


def test_a_page_names_the_vm_and_follows_its_load() -> None:
    world = MemoryWorld(VirtualClock(), hosts=1, vms=2)
    vm = world.fleet.vms[0]
    at = world.clock.now().timestamp()
    page = screen.page(world.fleet, 0, at)
    assert page[0].startswith(vm.name)
    assert any(vm.id in line for line in page)
    assert any(f"{vm.memory_mb} MB" in line for line in page)
    assert not any(name in line for line in page for name in ("host-sim", "sim-node"))
    assert len(page) <= screen.HEIGHT // screen.CELL_HEIGHT
    assert screen.page(world.fleet, 0, at + 1) != page
    assert screen.page(world.fleet, 0, at) == page


def test_a_picture_shows_its_text_and_cuts_off_what_does_not_fit() -> None:
    empty, one = screen.paint(()), screen.paint(("A",))
    assert (empty == screen.BACKGROUND).all()
    lit = (one == screen.HEADLINE).all(axis=-1)
    assert lit.sum() == 2 * GLYPHS["A"].sum()
    assert not lit[screen.CELL_HEIGHT :].any()
    assert (screen.paint(("",) * 100 + ("x",)) == empty).all()
    assert (screen.paint((" " * 100 + "x",)) == empty).all()
    assert (screen.paint(("\u4e2d",)) == screen.paint(("?",))).all()


def test_the_answer_to_a_challenge_is_des_with_a_mirrored_key() -> None:
    """The key 0E329232EA6D0D73 turns eight times 87 into zeros; mirrored and without its parity bits it is ASCII."""
    assert rfb.response(b"\x87" * 16, "pLIL") != bytes(16)
    assert rfb.response(b"\x87" * 16, "pLILW60N") == bytes(16)
    assert rfb.response(b"\x87" * 16, "pLILW60Nand more") == bytes(16)


def test_pixels_are_as_the_client_wants_them() -> None:
    red = np.array([[[255, 0, 0]]], np.uint8)
    assert PixelFormat().pixels(red) == b"\0\0\xff\0"
    assert replace(PixelFormat(), big_endian=True).pixels(red) == b"\0\xff\0\0"
    assert PixelFormat(16, 16, False, (31, 63, 31), (11, 5, 0)).pixels(red) == struct.pack("<H", 0xF800)
    assert PixelFormat(8, 8, False, (7, 7, 3), (0, 3, 6)).pixels(red) == b"\x07"


def test_a_format_is_read_as_it_was_written() -> None:
    for one in (PixelFormat(), PixelFormat(16, 16, True, (31, 63, 31), (11, 5, 0))):
        assert rfb.pixel_format(one.pack()) == one


@given(st.binary(min_size=16, max_size=16))
def test_any_format_is_spoken_or_refused(packed: bytes) -> None:
    try:
        wanted = rfb.pixel_format(packed)
    except Unsupported:
        return
    assert len(wanted.pixels(np.full((2, 3, 3), 200, np.uint8))) == 6 * wanted.bits // 8


@pytest.mark.parametrize("packed", [PixelFormat().pack()[:3] + b"\0" + PixelFormat().pack()[4:], bytes(16)])
def test_colour_maps_are_not_spoken(packed: bytes) -> None:
    with pytest.raises(Unsupported):
        rfb.pixel_format(packed)


AREAS = st.builds(Area, *[st.integers(0, 65535)] * 4)


@given(AREAS)
def test_an_update_is_never_more_than_the_screen(area: Area) -> None:
    inside = rfb.clipped(area, screen.WIDTH, screen.HEIGHT)
    sent = rfb.update(screen.paint(()), inside, PixelFormat(8, 8, False, (7, 7, 3), (0, 3, 6)))
    assert len(sent) == 16 + inside.width * inside.height
    assert inside.x + inside.width <= screen.WIDTH
    assert inside.y + inside.height <= screen.HEIGHT


def test_what_has_changed_is_a_strip_of_the_wanted_area() -> None:
    old, new = screen.paint(("A", "B", "C")), screen.paint(("A", "X", "C"))
    whole = Area(0, 0, screen.WIDTH, screen.HEIGHT)
    assert rfb.changed(old, old, whole) is None
    strip = rfb.changed(old, new, whole)
    assert strip is not None
    assert screen.CELL_HEIGHT <= strip.y < strip.y + strip.height <= 2 * screen.CELL_HEIGHT
    assert rfb.changed(old, new, Area(100, 0, 50, 50)) is None
