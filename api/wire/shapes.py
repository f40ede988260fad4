"""From the caller's JSON to a domain request: a frozen dataclass with annotated limits becomes a validator with wire
names.

Built once per operation. A blank string and `null` count as absent; numbers and booleans may come as text, and text as
a number; a list of text may come as one text with commas. What the domain leaves open is bounded here: text by its
length and without control characters, integers by the database's column.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from enum import Enum
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Interval, Le, Lt, MaxLen
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    create_model,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from api.wire import parameters
from api.wire.messages import BadParameters, Problem, place
from api.wire.words import Words

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
LONGEST_TEXT = 1024
LARGEST_INTEGER = 2**31 - 1
_ALLOWED_CONTROLS = frozenset("\t\n\r")


class WireModel(BaseModel):
    """Validates one dataclass, `shape`."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, str_strip_whitespace=True)
    shape: ClassVar[type]
    cleared: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _blank_is_absent(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return {key: item for key, item in value.items() if not _blank(item) or cls._clears(key, item)}

    @classmethod
    def _clears(cls, key: object, item: object) -> bool:
        return key in cls.cleared and item is not None


def _blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def model(shape: type, words: Words) -> type[WireModel]:
    """A validator with the fields, limits and defaults of the dataclass `shape` under their wire names."""
    hints = typing.get_type_hints(shape, include_extras=True)
    fields: dict[str, Any] = {}
    for item in dataclasses.fields(shape):
        default = ... if item.default is dataclasses.MISSING else item.default
        if item.default_factory is not dataclasses.MISSING:
            default = item.default_factory()
        fields[item.name] = (_kind(hints[item.name], words, ()), Field(default, alias=words.name(item.name)))
    made = create_model(shape.__name__, __base__=WireModel, __doc__=shape.__doc__, **fields)
    made.shape = shape
    made.cleared = frozenset(words.name(name) for name in words.cleared & fields.keys())
    return made


def read(validator: type[WireModel], raw: Mapping[str, object], zone: tzinfo) -> object:
    """`raw` as the validator's dataclass; times in it are of `zone`. Raises BadParameters, which names what is wrong as
    the caller spelt it.
    """
    try:
        return _plain(validator.model_validate(raw, context=zone))
    except ValidationError as error:
        raise BadParameters(tuple(_problem(validator, item) for item in error.errors(include_url=False))) from None


def _problem(validator: type[WireModel], detail: ErrorDetails) -> Problem:
    location = detail["loc"]
    known = parameters.at(parameters.parameters(validator), location)
    allowed = known.allowed if known else parameters.allowed({"type": "object"})
    return Problem(place(location), detail["type"], detail["input"], allowed)


def _plain(value: object) -> object:
    match value:
        case WireModel():
            return value.shape(**{name: _plain(getattr(value, name)) for name in type(value).model_fields})
        case tuple():
            return tuple(_plain(item) for item in value)
    return value


def _kind(hint: Any, words: Words, limits: tuple[object, ...]) -> Any:
    """The pydantic form of a type hint."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _kind(arguments[0], words, (*limits, *arguments[1:]))
    if origin in {types.UnionType, typing.Union}:
        (inner,) = (item for item in arguments if item is not type(None))
        return _kind(inner, words, limits) | None
    if origin is tuple:
        split = BeforeValidator(_split if _is_text(arguments[0]) else _same)
        return Annotated[(tuple[_kind(arguments[0], words, ()), ...], *limits, split)]  # type: ignore[misc]
    if dataclasses.is_dataclass(hint):
        return model(typing.cast("type", hint), words.within(typing.cast("type", hint)))
    if issubclass(hint, Enum):
        return _choice(hint, words)
    return _LEAVES[hint](limits)


def _is_text(hint: object) -> bool:
    return hint is str or typing.get_args(hint)[:1] == (str,)


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _same(value: object) -> object:
    return value


def _text(limits: tuple[object, ...]) -> object:
    longest = () if _has(limits, MaxLen) else (MaxLen(LONGEST_TEXT),)
    return Annotated[(str, *limits, *longest, BeforeValidator(_printable))]


def _printable(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and any(ord(sign) < 32 and sign not in _ALLOWED_CONTROLS for sign in value):
        raise PydanticCustomError("control_characters", "control characters")
    return value


def _integer(limits: tuple[object, ...]) -> object:
    lower = () if _has(limits, Ge, Gt, Interval) else (Ge(-LARGEST_INTEGER),)
    upper = () if _has(limits, Le, Lt, Interval) else (Le(LARGEST_INTEGER),)
    return Annotated[(int, *limits, *lower, *upper, BeforeValidator(_no_boolean))]


def _number(limits: tuple[object, ...]) -> object:
    return Annotated[(FiniteFloat, *limits, BeforeValidator(_no_boolean))]


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("not_number", "a boolean")
    return value


def _has(limits: Sequence[object], *kinds: type) -> bool:
    return any(isinstance(limit, kinds) for limit in limits)


def _boolean(_limits: tuple[object, ...]) -> object:
    return Annotated[
        bool, PlainValidator(_true_or_false), WithJsonSchema({"type": "string", "enum": ["true", "false"]})
    ]


def _true_or_false(value: object) -> bool:
    match str(value).strip().casefold():
        case "true":
            return True
        case "false":
            return False
    raise PydanticCustomError("boolean", "neither true nor false")


def _time(_limits: tuple[object, ...]) -> object:
    schema = {"type": "string", "format": "YYYY-MM-DD HH:MM:SS"}
    return Annotated[datetime, PlainValidator(_instant), WithJsonSchema(schema)]


def _instant(value: object, info: ValidationInfo) -> datetime:
    try:
        local = datetime.strptime(str(value).strip(), TIME_FORMAT)  # noqa: DTZ007 (the zone follows)
    except ValueError:
        raise PydanticCustomError("time", "not a time") from None
    try:
        return local.replace(tzinfo=typing.cast("tzinfo", info.context)).astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("time", "out of range") from None


def _choice(kind: type[Enum], words: Words) -> object:
    spelt = {spelling.casefold(): member for member in kind for spelling in words.spellings(member)}

    def choose(value: object) -> Enum:
        chosen = spelt.get(str(value).strip().casefold())
        if chosen is None:
            raise PydanticCustomError("choice", "not one of the choices")
        return chosen

    schema = {"type": "string", "enum": [words.spell(member) for member in kind]}
    return Annotated[kind, PlainValidator(choose), WithJsonSchema(schema)]


_LEAVES = {str: _text, int: _integer, float: _number, bool: _boolean, datetime: _time}
