"""From a domain answer to the wire: dataclasses become objects in wire words, every leaf becomes text.

Absent is the empty string, booleans are true and false, times are `YYYY-MM-DD HH:MM:SS` in the configured zone, a
Decimal keeps its places, a float has two at most.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any

from api.wire.languages import Language
from api.wire.shapes import TIME_FORMAT
from api.wire.words import Words


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes answers for one kind of caller. `platform`: show what tenants are not shown."""

    zone: tzinfo
    language: Language
    platform: bool

    def write(self, value: object, words: Words) -> object:
        if type(value) is str:
            return value
        match value:
            case None:
                return ""
            case bool():
                return "true" if value else "false"
            case Enum():
                return words.spell(value)
            case str():
                return value
            case tuple():
                return [self.write(item, words) for item in value]
            case datetime():
                return value.astimezone(self.zone).strftime(TIME_FORMAT)
            case float():
                return f"{value:.2f}".rstrip("0").rstrip(".")
            case int() | Decimal():
                return str(value)
        return self._object(value, words)

    def _object(self, value: object, outer: Words) -> dict[str, object]:
        shape: type = type(value)
        words = outer.within(shape)
        written: dict[str, object] = {}
        for name, wire in _shown(shape, words, self.language, self.platform):
            leaf = getattr(value, name)
            if leaf is not None or name not in words.omitted:
                written[wire] = leaf if name in words.numbers else self.write(leaf, words)
        for name in words.binary:
            written[words.name(name)] = "1" if getattr(value, name) else "0"
        return written


@cache
def _columns(shape: type, words: Words) -> tuple[tuple[str, str], ...]:
    return tuple((item.name, words.name(item.name)) for item in dataclasses.fields(shape))


@cache
def _shown(shape: type, words: Words, language: Language, platform: bool) -> tuple[tuple[str, str], ...]:  # noqa: FBT001
    """The columns that one kind of caller is shown."""
    return tuple(
        (name, wire)
        for name, wire in _columns(shape, words)
        if words.languages.get(name, language) is language and (platform or name not in words.platform_only)
    )


@dataclass(frozen=True, slots=True)
class AnswerField:
    """`inner`: the fields of the objects in it. `platform_only`: not shown to tenants."""

    name: str
    inner: tuple[AnswerField, ...] = ()
    platform_only: bool = False


def fields(run: Callable[..., object], words: Words) -> tuple[AnswerField, ...]:
    """What the answers of a domain function hold, from its return type; alternatives are joined."""
    found: dict[str, AnswerField] = {}
    for shape in _shapes(typing.get_type_hints(run).get("return")):
        found.update((item.name, item) for item in _fields(shape, words))
    return tuple(found.values())


def _fields(shape: type, outer: Words) -> Iterator[AnswerField]:
    words = outer.within(shape)
    hints: Mapping[str, Any] = typing.get_type_hints(shape)
    for name, wire in _columns(shape, words):
        inner = tuple(item for nested in _shapes(hints[name]) for item in _fields(nested, words))
        yield AnswerField(wire, inner, name in words.platform_only)


def _shapes(hint: Any) -> Iterator[type]:
    """The dataclasses in a type form: those of `Page[X]`, `Started[X]`, `tuple[X, ...]`, `X | None`."""
    arguments = typing.get_args(hint)
    if arguments:
        for argument in arguments:
            yield from _shapes(argument)
    elif isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint
