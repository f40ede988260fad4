"""How commands show what they found: a table for people, JSON for programs. A table is as wide as the terminal; into a
file or a pipe it is as wide as it needs to be."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from api.cli_server import fail

AsJson = Annotated[bool, typer.Option("--json", help="For programs: the answer as it is on the wire.")]
Shown = Mapping[str, str | Callable[[Mapping[str, Any]], str]]
"""Title of a column -> the wire name of its field, or what makes its text of a row."""

_ENDLESS: Final = 10_000
_console = Console(width=None if sys.stdout.isatty() else _ENDLESS)


def say(text: str) -> None:
    """A line of text that is nobody's markup."""
    _console.print(text, markup=False, highlight=False, soft_wrap=True)


def show_json(found: object) -> None:
    typer.echo(json.dumps(found, ensure_ascii=False, indent=2))


def show_rows(rows: Sequence[Mapping[str, Any]], columns: Shown, *, as_json: bool, title: str = "") -> None:
    """One line a row. No rows: a line that says so."""
    if as_json:
        show_json(rows)
        return
    if title:
        say(f"\n{title}")
    if not rows:
        say("none")
        return
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(_cell(row, column) for column in columns.values()))
    _console.print(table, markup=False, highlight=False)


def show_one(row: Mapping[str, Any], fields: Shown) -> None:
    """One line a field; empty ones are left out."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    for name, field in fields.items():
        if text := _cell(row, field):
            table.add_row(name, text)
    _console.print(table, markup=False, highlight=False)


def word(kind: type[IntEnum], code: object) -> str:
    """The name of a code of the document's appendices, in small letters; empty for none."""
    return "" if code in (None, "", "None") else kind(int(str(code))).name.lower().replace("_", " ")


def codes(kind: type[IntEnum]) -> dict[str, str]:
    """The wire's code by its word."""
    return {word(kind, int(code)): str(int(code)) for code in kind}


def chosen(states: Mapping[str, str], text: str) -> str | None:
    """The code of the word that was given, None for none; ends the command when there is no such state."""
    if text and text.lower() not in states:
        fail(f"there is no state {text!r}; there are: {', '.join(states)}")
    return states.get(text.lower())


def _cell(row: Mapping[str, Any], column: str | Callable[[Mapping[str, Any]], str]) -> str:
    return str(row.get(column, "")) if isinstance(column, str) else column(row)
