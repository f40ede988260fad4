"""Waiting for tasks: a bar for each on a terminal, and an exit code that says how they ended.

The bars are on the error output: what a command prints can be piped. Whoever stops waiting, by Ctrl-C or --timeout,
stops nothing: the tasks go on.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from api.cli_connection import Connection
from api.cli_tables import word
from core.clock import SystemClock
from core.tasks.rows import TaskState

STILL_RUNNING: Final = 3
"""The exit code when waiting was given up."""
_LOOK_EVERY: Final = 0.5
_WHOLE: Final = 100

Wait = Annotated[bool, typer.Option("--wait", help="Wait until it has ended, and show its progress.")]
Timeout = Annotated[
    float, typer.Option(min=0, help="Wait so many seconds at most; the task goes on. Exit code 3. 0: no limit.")
]

_errors = Console(stderr=True)


def follow(server: Connection, task_ids: Sequence[str], timeout: float) -> list[dict[str, Any]]:
    """The tasks when all have ended; ends the command with exit code 3 when they have not in time."""
    clock = SystemClock()
    until = clock.monotonic() + timeout
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=_errors, disable=not _errors.is_terminal) as shown:
        bars = {id_: shown.add_task(id_, total=_WHOLE) for id_ in task_ids}
        while True:
            found = [server.one("cloudtask/search", {"startid": id_}, f"task {id_}") for id_ in task_ids]
            for task in found:
                shown.update(bars[task["startid"]], description=_described(task), completed=_percent(task))
            if all(has_ended(task) for task in found):
                return found
            if timeout and clock.monotonic() >= until:
                break
            _pause()
    waiting = [task["startid"] for task in found if not has_ended(task)]
    complain(f"not ended after {timeout:g} s: {', '.join(waiting)}")
    raise typer.Exit(STILL_RUNNING)


def conclude(tasks: Sequence[Mapping[str, Any]]) -> None:
    """A line for each that did not succeed; then the command ends with exit code 1."""
    failed = [task for task in tasks if TaskState(int(task["task.result"])) is not TaskState.SUCCEEDED]
    for task in failed:
        state, reason = word(TaskState, task["task.result"]), task["task.resultinfo"]
        about = f"{task['task.name']} {task['task.objid']}"
        complain(f"{about}: {state}: {reason}")
    if failed:
        raise typer.Exit(1)


def complain(reason: str) -> None:
    """A line on the error output; the command goes on."""
    _errors.print(reason, style="red", markup=False, highlight=False, soft_wrap=True)


def has_ended(task: Mapping[str, Any]) -> bool:
    return TaskState(int(task["task.result"])).has_ended


def _percent(task: Mapping[str, Any]) -> int:
    return _WHOLE if task["task.result"] == str(int(TaskState.SUCCEEDED)) else int(task["task.progress"])


def _described(task: Mapping[str, Any]) -> str:
    return f"{task['task.name']} {task['task.objid']}: {word(TaskState, task['task.result'])}"


def _pause() -> None:
    threading.Event().wait(_LOOK_EVERY)
