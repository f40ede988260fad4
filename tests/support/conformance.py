"""Calls of operations, held against the contract: declared fields, their types, and the shape of the answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from api.wire.client import Answer, StarVCenter

CONTRACT: Final[list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[1] / "api" / "contract.json").read_text("utf-8")
)["operations"]
_PARAMETER: Final = re.compile(r"\{\w+\}")


def _integer(value: object) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or bool(re.fullmatch(r"-?\d+|", str(value)))


def _number(value: object) -> bool:
    try:
        return value == "" or Decimal(str(value)).is_finite()
    except InvalidOperation:
        return False


_TYPES: Final = {
    "string": lambda value: isinstance(value, str),
    "integer": _integer,
    "number": _number,
    "boolean": lambda value: value in {"true", "false", "1", "0"},
    "list": lambda value: isinstance(value, list),
}
"""On the wire a leaf is text; numbers where the document says so."""


@dataclass
class Conformance:
    """What has been called, and what was wrong with it. `absent`: fields that the document makes conditional, by
    path."""

    absent: dict[str, set[str]] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)

    def call(self, client: StarVCenter, method: str, path: str, params: object = None, **where: str) -> Answer:
        """`path` as the contract spells it; `where` fills its parameter. Fails nothing: it is noted."""
        row = next(row for row in CONTRACT if (row["method"], row["path"]) == (method, path))
        (filled,) = where.values() if where else ("",)
        given = params if isinstance(params, dict) else None
        answer = client.call(method, _PARAMETER.sub(filled, path), given)
        self.faults.setdefault(_name(row), []).extend(self._found(row, answer))
        return answer

    def missing(self) -> list[str]:
        return [_name(row) for row in CONTRACT if _name(row) not in self.faults]

    def show(self) -> None:
        table = Table("section", "operation", "result", title="conformance", box=None)
        for row in CONTRACT:
            faults = self.faults.get(_name(row))
            result = "not called" if faults is None else "; ".join(faults) or "ok"
            table.add_row(row["section"], _name(row), result)
        good = sum(faults == [] for faults in self.faults.values())
        Console(width=140).print(table, f"{good} of {len(CONTRACT)}")

    def _found(self, row: dict[str, Any], answer: Answer) -> list[str]:
        if not answer.succeeded:
            return [f"{answer.result}: {answer.text}"]
        if not row["fields"]:
            return []
        data = answer.data
        if row["shape"] == "list" and not isinstance(data, list):
            return [f"a list was expected: {data!r}"]
        rows = data if isinstance(data, list) else [data]
        return self._of(row, rows) if rows else ["the answer has no rows to look at"]

    def _of(self, row: dict[str, Any], rows: list[Any]) -> list[str]:
        faults = []
        for item in row["fields"]:
            name, optional = item["name"], item["name"] in self.absent.get(row["path"], set())
            values = [found[name] for found in rows if name in found]
            if len(values) < len(rows) and not optional:
                faults.append(f"{name} is missing")
            if not all(_TYPES[item["type"]](value) for value in values):
                faults.append(f"{name} is no {item['type']}: {values[0]!r}")
        return faults


def _name(row: dict[str, Any]) -> str:
    return f"{row['method']} {row['path']}"
