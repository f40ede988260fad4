"""One declaration per operation of the wire, and the table that finds them.

The domain side of an operation is a plain function `run(at, request)`: the type of `request` (a frozen dataclass) says
what is read, the return type what is answered. The wire side is its words. Everything else happens once, in
`api.wire.frame`.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from functools import cached_property
from typing import Final, Literal

from api.wire import answers, parameters, shapes
from api.wire.envelope import Nothing
from api.wire.languages import Text
from api.wire.messages import BadParameters, Problem
from api.wire.words import Words
from core.context import Role

Method = Literal["GET", "POST", "PUT", "DELETE"]
EXTENSION: Final = ""
"""The section of operations that the document does not define."""


@dataclass(frozen=True, eq=False)
class Operation:
    """`path` is relative to the base URL; its last segment may be a parameter, `{vmId}`.

    `role` is the least one: the platform may do what a
    tenant may. `words` spell the request, `answer` the answer where it is spelt differently. `writes`: needs a
    transaction that can write. `nothing`: what is answered when there is no result.
    """

    method: Method
    path: str
    section: str
    title: Text
    run: Callable[..., object]
    words: Words = field(default_factory=Words)
    answer: Words | None = None
    role: Role = Role.TENANT
    writes: bool = False
    nothing: Nothing = Nothing.TEXT
    starred: tuple[str, ...] = ()
    unless: str | None = None

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_extension(self) -> bool:
        return self.section == EXTENSION

    @property
    def answer_words(self) -> Words:
        return self.words if self.answer is None else self.answer

    @property
    def path_parameter(self) -> str | None:
        last = self.path.rpartition("/")[2]
        return last[1:-1] if last.startswith("{") else None

    @property
    def has_body(self) -> bool:
        return self.method in {"POST", "PUT"}

    @cached_property
    def shape(self) -> type | None:
        """The dataclass that `run` reads; None when it reads nothing."""
        names = list(inspect.signature(self.run).parameters)[1:]
        return typing.cast("type", typing.get_type_hints(self.run)[names[0]]) if names else None

    @cached_property
    def validator(self) -> type[shapes.WireModel] | None:
        return None if self.shape is None else shapes.model(self.shape, self.words)

    def read(self, raw: Mapping[str, object], zone: tzinfo) -> tuple[object, ...]:
        """What `run` is called with after the context. Raises BadParameters."""
        if self.validator is None:
            return ()
        request = shapes.read(self.validator, raw, zone)
        if self.unless is None or not getattr(request, self.unless):
            self._demand(request)
        return (request,)

    def _demand(self, request: object) -> None:
        missing = {self.words.name(name) for name in self.starred if getattr(request, name) is None}
        if missing:
            known = (item for item in self.parameters if item.name in missing)
            raise BadParameters(tuple(Problem(item.name, "missing", None, item.allowed) for item in known))

    @cached_property
    def parameters(self) -> tuple[parameters.Parameter, ...]:
        """All that is read, the path's parameter included."""
        if self.validator is None:
            return ()
        starred = {self.words.name(name) for name in self.starred}
        return tuple(
            replace(item, required=item.required or item.name in starred)
            for item in parameters.parameters(self.validator)
        )

    @cached_property
    def fields(self) -> tuple[answers.AnswerField, ...]:
        return answers.fields(self.run, self.answer_words)


@dataclass(frozen=True, slots=True)
class Section:
    """A chapter of the document, or of its extensions, with its operations in order."""

    number: str
    title: Text
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """`path_values` is the path's parameter under its wire name."""

    operation: Operation
    path_values: Mapping[str, str]


class NoSuchPath(Exception):
    """No operation has this path, whatever the method."""


@dataclass
class NoSuchMethod(Exception):
    """The path exists, with other methods."""

    allowed: tuple[str, ...]


class Table:
    """Finds operations in constant time. A literal path hides the parameters that would match it too."""

    def __init__(self, sections: Iterable[Section]) -> None:
        """Builds every validator now: a field without a wire name, or a path declared twice, stops the start."""
        self.sections = tuple(sections)
        self._paths: dict[str, dict[str, Operation]] = {}
        for operation in self.operations:
            methods = self._paths.setdefault(_pattern(operation), {})
            if operation.method in methods:
                raise ValueError(f"BUG: {operation.name} is declared twice")
            methods[operation.method] = operation
            _ = operation.validator, operation.fields

    @property
    def operations(self) -> tuple[Operation, ...]:
        return tuple(operation for section in self.sections for operation in section.operations)

    def find(self, method: str, path: str) -> Found:
        """Raises NoSuchPath, NoSuchMethod."""
        prefix, _, last = path.rpartition("/")
        methods: Mapping[str, Operation] = self._paths.get(path) or self._paths.get(f"{prefix}/{{}}") or {}
        if not methods or not last:
            raise NoSuchPath
        operation = methods.get(method)
        if operation is None:
            raise NoSuchMethod(tuple(sorted(methods)))
        return Found(operation, {operation.path_parameter: last} if operation.path_parameter else {})

    def methods(self, path: str) -> tuple[str, ...]:
        """The methods of a path; none when there is no such path."""
        prefix = path.rpartition("/")[0]
        return tuple(self._paths.get(path) or self._paths.get(f"{prefix}/{{}}") or ())


def _pattern(operation: Operation) -> str:
    if operation.path_parameter is None:
        return operation.path
    return operation.path.rpartition("/")[0] + "/{}"
