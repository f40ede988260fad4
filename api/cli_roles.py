"""`starvc api`, `starvc collector`, `starvc aggregator`: the parts as processes of their own, on one PostgreSQL and one
store that all of them reach.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated, Final, TypeVar

import typer
from rich.console import Console

from api.cli_server import fail, settings_in_force
from api.loading import loading
from core.log import configure
from core.settings import Settings

T = TypeVar("T")
Role = Callable[[Settings], AbstractContextManager[T]]
"""Runs inside the block; gives what the operator is told."""

_TURN: Final = 0.0005
"""Seconds for which a busy thread keeps the interpreter from the others. Every statement and every packet gives it away
and waits for it again: beside one thread that computes, a request of ten such waits would take 50 ms at Python's 5 ms.
"""

_console = Console()


def api() -> None:
    """Run the API and the tasks that it accepts. Any number of them share one database."""
    with loading():
        from api.roles import serving

    _run(serving)


def collector(
    shard: Annotated[str, typer.Option(help="Which share of the targets, such as 1/3.")] = "1/1",
    replicas: Annotated[int, typer.Option(help="How many shards scrape each target.")] = 1,
    targets: Annotated[
        str, typer.Option(help="URL or file of the targets (http_sd, file_sd); default: the inventory's database.")
    ] = "",
) -> None:
    """Scrape a share of the targets into the store. Samples wait on disk while the store is away."""
    with loading():
        from api.roles import collecting
        from collector.shards import Shard
        from core.errors import Invalid

    try:
        share = Shard.parse(shard, replicas)
    except Invalid as problem:
        fail(str(problem))
    _run(lambda settings: collecting(settings, share, targets))


def aggregator() -> None:
    """Make the lines and raise the alarms. Several share the work by leases and take over from each other."""
    with loading():
        from api.roles import aggregating

    _run(aggregating)


def keep_up(settings: Settings, role: Role[T], tell: Callable[[Settings, T], None]) -> None:
    """Runs it until the process is told to end."""
    from api.parts import REFUSALS
    from api.up import until_told

    configure(settings.log_level, as_json=settings.log_json)
    sys.setswitchinterval(_TURN)
    try:
        with role(settings) as told:
            tell(settings, told)
            until_told(threading.Event())
    except REFUSALS as problem:
        fail(f"cannot start: {problem}")


def _run(role: Role[str]) -> None:
    keep_up(settings_in_force(), role, _tell)


def _tell(_settings: Settings, url: str) -> None:
    _console.print(f"up: {url}", soft_wrap=True, highlight=False)
