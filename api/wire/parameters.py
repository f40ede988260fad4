"""What an operation reads, described for people and programs: the same words in errors, pages, WADL and OpenAPI."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from pydantic import BaseModel

from api.wire.languages import Text

Schema = Mapping[str, typing.Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """`schema` is the JSON schema of the value; `inner` are the parameters of objects in it or in its list."""

    name: str
    required: bool
    schema: Schema
    inner: tuple[Parameter, ...] = ()

    @property
    def allowed(self) -> Text:
        return allowed(self.schema)


@cache
def parameters(validator: type[BaseModel]) -> tuple[Parameter, ...]:
    """In the order of their declaration."""
    return _parameters(validator.model_json_schema(), {})


def _parameters(schema: Schema, outer: Schema) -> tuple[Parameter, ...]:
    definitions = schema.get("$defs", outer)
    required = schema.get("required", ())
    return tuple(
        _parameter(name, name in required, _resolve(kind, definitions), definitions)
        for name, kind in schema.get("properties", {}).items()
    )


def _parameter(name: str, required: bool, kind: Schema, definitions: Schema) -> Parameter:  # noqa: FBT001
    rows = _resolve(kind["items"], definitions) if kind.get("type") == "array" else kind
    return Parameter(name, required, kind, _parameters(rows, definitions))


def _resolve(kind: Schema, definitions: Schema) -> Schema:
    """`kind` without references, without its `null` form and without titles."""
    for form in kind.get("anyOf", ()):
        if form.get("type") != "null":
            return _resolve(
                {**form, **{key: kind[key] for key in ("default",) if kind.get(key) is not None}}, definitions
            )
    if reference := kind.get("$ref"):
        return _resolve(definitions[reference.rpartition("/")[2]], definitions)
    return {key: value for key, value in kind.items() if key not in {"title", "description"}}


def at(known: Sequence[Parameter], location: Sequence[int | str]) -> Parameter | None:
    """The parameter that a validator's error location means; None for the object as a whole."""
    found = None
    for part in location:
        if isinstance(part, str):
            found = next((item for item in known if item.name == part), found)
            known = found.inner if found else ()
    return found


def allowed(schema: Schema) -> Text:
    """What a value may be, as a noun phrase."""
    if "enum" in schema:
        return Text(f"{'、'.join(schema['enum'])} 之一", f"one of {', '.join(schema['enum'])}")
    match schema.get("type"):
        case "integer":
            return _bounded(schema, Text("整数", "an integer"))
        case "number":
            return _bounded(schema, Text("数值", "a number"))
        case "array":
            return _sized(schema, "Items", Text("列表", "a list"), Text("项", "items"))
        case "object":
            return Text("JSON 对象", "a JSON object")
    if "format" in schema:
        return Text(f"时间，格式 {schema['format']}", f"a time, {schema['format']}")
    return _sized(schema, "Length", Text("文本", "text"), Text("个字符", "characters"))


def _bounded(schema: Schema, noun: Text) -> Text:
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    zh = [f"≥ {least}"] * (least is not None) + [f"> {above}"] * (above is not None)
    zh += [f"≤ {most}"] * (most is not None) + [f"< {below}"] * (below is not None)
    if least is not None and most is not None:
        return Text(f"{least} 至 {most} 的{noun.zh}", f"{noun.en} from {least} to {most}")
    limits = ", ".join(zh)
    return Text(f"{noun.zh} {limits}".strip(), f"{noun.en} {limits}".strip())


def _sized(schema: Schema, what: str, noun: Text, unit: Text) -> Text:
    least, most = schema.get(f"min{what}", 0), schema.get(f"max{what}")
    if most is None:
        return (
            noun
            if not least
            else Text(f"至少 {least} {unit.zh}的{noun.zh}", f"{noun.en} of at least {least} {unit.en}")
        )
    return Text(f"{least} 至 {most} {unit.zh}的{noun.zh}", f"{noun.en} of {least} to {most} {unit.en}")
