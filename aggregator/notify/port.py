"""The port to whoever is told of alarms. One implementation per kind of channel; the batch is the interface.

A notifier is called by one thread at a time. It has a time limit for everything it does, and answers instead of
raising.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from core.alarms.announcement import Announcement


@dataclass(frozen=True, slots=True)
class Letter:
    """`key` is the same each time this letter is sent, and no other letter's: a receiver drops what it has seen."""

    key: str
    announcement: Announcement


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has said that it has it."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The receiver did not take it now. `retry_after`: seconds that it asked for."""

    reason: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver will never take this letter."""

    reason: str


Outcome = Delivered | Failed | Refused


class Notifier(Protocol):
    """`kind` labels metrics; `batch` is the most letters of one call, all of which together end within a minute."""

    kind: str
    batch: int

    def send(self, letters: Sequence[Letter]) -> Sequence[Outcome]:
        """The outcomes of the first letters, in their order. It ends with the first Failed: the rest was not tried."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Forgetful(Notifier, Protocol):
    """A receiver that loses open alarms over time or when it restarts, and must be reminded of them."""

    def remind(self, open_alarms: Sequence[Announcement]) -> Outcome:
        """All open alarms at once; each may be known already."""
        ...
