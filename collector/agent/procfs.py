"""Reads the kernel's own accounts under /proc (proc(5), Documentation/admin-guide/iostats.rst). Nothing is kept
between calls.

`Proc(root)` takes the folder, so that tests read recorded ones. Everything raises OSError when the kernel does not
offer it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MODES: Final = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
GUESTS: Final = ("user", "nice")
SECTOR: Final = 512


@dataclass(frozen=True, slots=True)
class Stat:
    """/proc/stat. Per CPU: seconds by mode (`MODES`), and those that were spent in guests (`GUESTS`), which the first
    contain."""

    modes: dict[str, tuple[float, ...]]
    guests: dict[str, tuple[float, ...]]
    counts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Mount:
    device: str
    point: str
    fstype: str
    readonly: bool


@dataclass(frozen=True, slots=True)
class Proc:
    root: Path = Path("/proc")

    def stat(self) -> Stat:
        ticks = float(os.sysconf("SC_CLK_TCK"))
        modes: dict[str, tuple[float, ...]] = {}
        guests: dict[str, tuple[float, ...]] = {}
        counts: dict[str, float] = {}
        for name, *numbers in self._rows("stat"):
            if name.startswith("cpu") and name != "cpu":
                seconds = tuple(int(number) / ticks for number in numbers)
                modes[name[3:]], guests[name[3:]] = (
                    seconds[: len(MODES)],
                    seconds[len(MODES) : len(MODES) + len(GUESTS)],
                )
            elif numbers and name != "cpu":
                counts[name] = float(numbers[0])
        return Stat(modes, guests, counts)

    def meminfo(self) -> dict[str, float]:
        """In node_exporter's spelling: bytes under `<name>_bytes`, plain numbers under the name alone."""
        found = {}
        for name, number, *unit in self._rows("meminfo"):
            plain = name.rstrip(":").replace("(", "_").replace(")", "")
            found[f"{plain}_bytes" if unit else plain] = float(number) * (1024 if unit else 1)
        return found

    def loadavg(self) -> tuple[float, float, float]:
        one, five, fifteen, *_ = next(self._rows("loadavg"))
        return float(one), float(five), float(fifteen)

    def diskstats(self) -> dict[str, tuple[int, ...]]:
        """The 11 to 17 numbers of each block device, in the kernel's order and units."""
        return {name: tuple(map(int, numbers)) for _, _, name, *numbers in self._rows("diskstats")}

    def net_dev(self) -> dict[str, tuple[int, ...]]:
        """The 16 numbers of each interface: 8 received, 8 sent. Those of the process's own network namespace."""
        lines = (self.root / "net/dev").read_text().splitlines()[2:]
        return {
            name.strip(): tuple(map(int, numbers.split()))
            for name, _, numbers in (line.partition(":") for line in lines)
        }

    def mounts(self) -> list[Mount]:
        """What the first process sees; what we see, where that is not allowed."""
        try:
            rows = list(self._rows("1/mounts"))
        except PermissionError:
            rows = list(self._rows("self/mounts"))
        return [
            Mount(device, _plain(point), fstype, "ro" in options.split(","))
            for device, point, fstype, options, *_ in rows
        ]

    def cpuinfo(self) -> list[dict[str, str]]:
        """One dictionary per logical CPU."""
        blocks = (self.root / "cpuinfo").read_text().strip().split("\n\n")
        return [dict(_pair(line) for line in block.splitlines() if ":" in line) for block in blocks]

    def domainname(self) -> str:
        """The NIS domain name, which uname(2) tells and Python does not."""
        return (self.root / "sys/kernel/domainname").read_text().strip()

    def _rows(self, name: str) -> Iterator[list[str]]:
        with (self.root / name).open() as lines:
            for line in lines:
                if row := line.split():
                    yield row


def _pair(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key.strip(), value.strip()


def _plain(point: str) -> str:
    r"""Blanks in paths stand there as \040."""
    return (
        point.encode().decode("unicode_escape").encode("latin-1").decode(errors="replace") if "\\" in point else point
    )
