"""The kinds of tasks: declared beside what they do, by the module that submits them, and found here by name.

A kind has three ways to go. Each may be interrupted anywhere and gone again, and leaves the same world:

* `run` does it, outside of any transaction, and returns what to write when it has succeeded;
* `undo` follows when it did not (failed, cancelled, over time, or its server died): it asks the driver what is true,
  finishes or takes back what was begun, and returns what to write. While the driver cannot tell, it raises and is
  repeated later;
* `withdraw` takes back what was written at submission, for a task that never ran. It asks nobody: it may run in a
  tenant's session. None: it cannot be taken back, for the caller was told that it is done; such a task is carried out,
  whatever happens: it is neither cancelled nor lost.

What `run` and `undo` return is written in one transaction with the end of the task and the release of its locks, and
only if the task is still the worker's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from core.db.session import PlatformSession
from core.tasks.claims import TaskFacts
from core.tasks.context import TaskContext

Write = Callable[[PlatformSession], object]
Step = Callable[[TaskContext], Write]
Withdraw = Callable[[Session, TaskFacts], None]


@dataclass(frozen=True, slots=True)
class Target:
    """The type of the object that a task is about. `release` gives back every lock that the task (by id) holds."""

    type: str
    release: Callable[[Session, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """`name` is in the database: it never changes. `title` is for people. `cancellable`: also while it runs."""

    name: str
    title: str
    target: Target
    run: Step
    undo: Step
    withdraw: Withdraw | None
    limit: timedelta
    cancellable: bool = False


_DECLARED: dict[str, Kind] = {}


def declare(kind: Kind) -> Kind:
    """Make a kind known to this process. At import, once."""
    if kind.name in _DECLARED:
        raise ValueError(f"BUG: the kind {kind.name} is declared twice")
    _DECLARED[kind.name] = kind
    return kind


def find(name: str) -> Kind | None:
    """None: another version of the product declared it."""
    return _DECLARED.get(name)


def known() -> frozenset[str]:
    """The names of all kinds that this process can run."""
    return frozenset(_DECLARED)


def binding() -> frozenset[str]:
    """The names of the kinds whose tasks must be carried out."""
    return frozenset(name for name, kind in _DECLARED.items() if kind.withdraw is None)


def nothing_to_withdraw(_session: Session, _task: TaskFacts) -> None:
    """For kinds that write nothing at submission but their lock."""
