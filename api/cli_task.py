"""`starvc task`: what is being done, and how it ended. Talks to the running server."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from api.cli_connection import connected
from api.cli_progress import Timeout, conclude, follow
from api.cli_server import DEFAULT_URL, Token, Url
from api.cli_tables import AsJson, Shown, chosen, codes, say, show_json, show_one, show_rows, word
from core.tasks.rows import TaskState

task_app = typer.Typer(no_args_is_help=True, help="Tasks: what takes time.")

Tasks = Annotated[list[str], typer.Argument(metavar="TASK...", help="Ids of tasks (startid).")]

_STATES: Final = codes(TaskState)


def _state(row: Any) -> str:
    return word(TaskState, row["task.result"])


_COLUMNS: Final[Shown] = {
    "id": "startid", "task": "task.name", "object": "task.objid", "state": _state,
    "%": "task.progress", "created": "task.createtime", "ended": "task.endtime", "reason": "task.resultinfo",
}  # fmt: skip
_FIELDS: Final[Shown] = {
    "id": "startid", "task": "task.name", "object": lambda row: f"{row['task.objtype']} {row['task.objid']}",
    "state": _state, "progress": lambda row: f"{row['task.progress']} %", "created": "task.createtime",
    "started": "task.starttime", "ended": "task.endtime", "reason": "task.resultinfo",
}  # fmt: skip


@task_app.command("list", epilog="Example: starvc task list --state failed --limit 20")
def list_tasks(
    state: Annotated[str, typer.Option(help=f"One of: {', '.join(_STATES)}.")] = "",
    about: Annotated[str, typer.Option("--object", help="Only of this VM, backup or disk, by its id.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="So many, at most.")] = 30,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Tasks, newest first."""
    wanted = {"task.result": chosen(_STATES, state), "task.objid": about}
    with connected(url, token) as server:
        show_rows(server.first("cloudtask/search", wanted, limit), _COLUMNS, as_json=as_json)


@task_app.command("show", epilog="Example: starvc task show task-90d1e4")
def show(
    task: Annotated[str, typer.Argument(help="Its id (startid).")],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """One task."""
    with connected(url, token) as server:
        row = server.one("cloudtask/search", {"startid": task}, f"task {task}")
    if as_json:
        show_json(row)
    else:
        show_one(row, _FIELDS)


@task_app.command("wait", epilog="Example: starvc task wait task-90d1e4 task-90d1e5 --timeout 600")
def wait(
    tasks: Tasks, timeout: Timeout = 0, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = ""
) -> None:
    """Wait until tasks have ended, and show their progress. Exit code 0: all succeeded, 1: one did not, 3: --timeout
    has passed."""
    with connected(url, token) as server:
        ended = follow(server, tasks, timeout)
    show_rows(ended, _COLUMNS, as_json=as_json)
    conclude(ended)


@task_app.command("cancel", epilog="Example: starvc task cancel task-90d1e4")
def cancel(tasks: Tasks, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """End queued tasks at once, and ask running ones to stop. Refused for those that cannot be stopped any more."""
    with connected(url, token) as server:
        for task in tasks:
            server.ask("PUT", "cloudtask/cancel", {"startid": task})
            say(f"{task}: cancelled, or about to be")
