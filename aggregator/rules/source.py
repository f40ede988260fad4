"""YAML text with the line of each value, and the problems people must be told about it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import yaml

from core.errors import Fault

Path = tuple[str | int, ...]
_ITEMS: Final[Mapping[str | int, str]] = {"rules": "id", "tests": "name"}
"""Lists of named things, and the key that names them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a rule file. `rule` is empty when it concerns the file; `field`: the path inside the rule."""

    file: str
    line: int
    rule: str
    field: str
    problem: str
    allowed: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" + (f": rule {self.rule}" if self.rule else "")
        return f"{where}: {self.field or 'file'}: {self.problem}; allowed: {self.allowed}"


class RulesInvalid(Fault):
    """Rules that cannot be used, with everything that is wrong about them. The rules in force stay in force."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's idea of plain scalars: `0x10` (a series of zeros), `yes`, `12:30` and `2026-01-01` are text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the base class declares it
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in ("float", "null", "merge")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(true|false)$"), list("tf"))


class Source:
    """A parsed YAML document that knows where its values stand."""

    def __init__(self, file: str, text: str) -> None:
        """Raises RulesInvalid when `text` is no YAML document or repeats a key."""
        self.file = file
        loader = _Loader(text)
        try:
            self._root = loader.get_single_node()
            self._refuse_repeated(self._root, ())
            self.content: object = loader.construct_document(self._root) if self._root is not None else None
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            hint = 'YAML; operators must be quoted, as in op: ">"'
            raise RulesInvalid([Problem(file, line, "", "", f"not YAML: {error.problem}", hint)]) from error
        finally:
            loader.dispose()

    def problem(self, path: Path, problem: str, allowed: str) -> Problem:
        """A problem at `path`, which starts at the document: ("rules", 3, "when", ...)."""
        within = path[2:] if len(path) > 1 and path[0] in _ITEMS else path
        return Problem(self.file, self.line(path), self._rule(path), ".".join(map(str, within)), problem, allowed)

    def _rule(self, path: Path) -> str:
        if len(path) < 2 or path[0] not in _ITEMS or not isinstance(self.content, dict):
            return ""
        key, position = _ITEMS[path[0]], int(path[1])
        item = self.content[path[0]][position]
        return str(item[key]) if isinstance(item, dict) and key in item else f"number {position + 1}"

    def line(self, path: Path) -> int:
        """Where the value at `path`, or the nearest thing around it, begins."""
        node, line = self._root, 1
        for part in path:
            found = _child(node, part)
            if found is None:
                break
            line, node = found
        return line

    def _refuse_repeated(self, node: yaml.Node | None, path: Path) -> None:
        if isinstance(node, yaml.SequenceNode):
            for position, item in enumerate(node.value):
                self._refuse_repeated(item, (*path, position))
        if not isinstance(node, yaml.MappingNode):
            return
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                field = ".".join(map(str, (*path, key.value)))
                raise RulesInvalid([Problem(self.file, line, "", field, "given twice", "each key once")])
            seen.add(key.value)
            self._refuse_repeated(value, (*path, key.value))


def _child(node: yaml.Node | None, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item: yaml.Node = node.value[part]
        return item.start_mark.line + 1, item
    return None
