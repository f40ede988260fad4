"""What a simulated VM shows on its console: a page of text, and its dots. Pure: the moment is an argument."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.drivers.simulated.fleet import Fleet
from core.drivers.simulated.font import COLUMNS, GLYPHS, ROWS
from core.drivers.simulated.load import Channel

WIDTH: Final = 640
HEIGHT: Final = 400
CELL_WIDTH: Final = 8
CELL_HEIGHT: Final = 16
_SECONDS: Final = 10.0
"""The load is that of so many seconds."""
_BAR: Final = 40
_UNKNOWN: Final = "?"

BACKGROUND: Final = (12, 16, 28)
TEXT: Final = (188, 196, 204)
HEADLINE: Final = (112, 208, 144)
"""Red, green and blue, 0 to 255."""

Picture = NDArray[np.uint8]
"""(HEIGHT, WIDTH, 3)."""


def page(fleet: Fleet, index: int, at: float) -> tuple[str, ...]:
    """The lines of the screen of a VM, by its index; the first one is a headline. Nothing of its host: a tenant reads
    it."""
    vm, condition = fleet.vms[index], fleet.vm_conditions[index]
    before, now = (fleet.meters.work(moment, np.array([index])) for moment in (at - _SECONDS, at))
    load = float((now - before)[Channel.CPU, 0]) / _SECONDS / condition.vcpus
    busy = fleet.meters.counters(now, np.array([index]))[Channel.CPU, 0]
    cores = "core" if condition.vcpus == 1 else "cores"
    return (
        f"{vm.name}  (simulated VM)", "",
        f"  id       {vm.id}",
        f"  uuid     {vm.uuid}",
        f"  state    {'running' if fleet.runs(index) else 'stopped'}",
        f"  clock    {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC",
        f"  size     {condition.vcpus} {cores}, {condition.memory_mb} MB",
        f"  worked   {_duration(busy)} of CPU time since it was started",
        f"  load     [{_bar(load)}] {min(load, 1.0):4.0%}", "",
        *(f"  {disk.device:8} {disk.size_gb} GB" for disk in vm.disks[:4]),
        *(f"  {nic.device:8} {nic.mac}  {nic.ip}" for nic in vm.nics[:4]), "",
        f"{vm.name} login: _",
    )  # fmt: skip


def paint(lines: Sequence[str]) -> Picture:
    """What does not fit is cut off; a character that the font has not is a question mark."""
    lit = np.zeros((HEIGHT, WIDTH), bool)
    for row, line in enumerate(lines[: HEIGHT // CELL_HEIGHT]):
        for column, character in enumerate(line[: WIDTH // CELL_WIDTH]):
            glyph = np.repeat(GLYPHS.get(character, GLYPHS[_UNKNOWN]), 2, axis=0)
            top, left = row * CELL_HEIGHT + 1, column * CELL_WIDTH + 1
            lit[top : top + 2 * ROWS, left : left + COLUMNS] = glyph
    picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    picture[:] = BACKGROUND
    picture[lit] = TEXT
    picture[:CELL_HEIGHT][lit[:CELL_HEIGHT]] = HEADLINE
    return picture


def _bar(share: float) -> str:
    full = round(min(max(share, 0.0), 1.0) * _BAR)
    return "#" * full + "." * (_BAR - full)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
