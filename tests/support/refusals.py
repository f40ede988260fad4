"""Every text that the code gives to a refusal, found in its syntax trees: none is left without a translation."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TEXTS = {
    "Invalid": {1: "problem", 2: "allowed"},
    "Unauthorised": {0: "reason"},
    "Forbidden": {0: "reason"},
    "NotFound": {0: "kind"},
    "only": {2: "kind"},
    "Conflict": {0: "kind", 2: "reason"},
    "QuotaExceeded": {0: "resource", 3: "unit"},
}
"""Fault, or the search that raises it -> position and name of the arguments that are texts for people."""


@dataclass(frozen=True)
class Refusal:
    """`text` None: the argument is neither a literal nor a name that was given one, so nobody can tell what it says."""

    place: str
    text: str | None


def refusals(folder: Path) -> Iterator[Refusal]:
    for file in [folder] if folder.is_file() else sorted(folder.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        known = dict(_assignments(tree))
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            for argument in _texts(call):
                place = f"{file}:{argument.lineno}"
                for text in _strings(argument, known):
                    yield Refusal(place, text)


def _texts(call: ast.Call) -> Iterator[ast.expr]:
    if isinstance(call.func, ast.Name) and call.func.id in TEXTS:
        for position, name in TEXTS[call.func.id].items():
            if position < len(call.args):
                yield call.args[position]
            yield from (keyword.value for keyword in call.keywords if keyword.arg == name)


def _assignments(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            yield node.target.id, node.value


def _strings(node: ast.expr, known: dict[str, ast.expr]) -> Iterator[str | None]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in parts)
        case ast.IfExp(body=first, orelse=second):
            yield from _strings(first, known)
            yield from _strings(second, known)
        case ast.Dict(values=values):
            for value in values:
                yield from _strings(value, known)
        case ast.Name(id=name) | ast.Subscript(value=ast.Name(id=name)) if name in known:
            yield from _strings(known[name], known)
        case _:
            yield None
