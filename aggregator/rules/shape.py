"""Documents into declared shapes: what pydantic finds wrong, said in the words of the file."""

from __future__ import annotations

from collections.abc import Sequence
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from aggregator.rules.source import Path, Problem, RulesInvalid, Source

M = TypeVar("M", bound=BaseModel)


def shaped(source: Source, model: type[M]) -> M:
    """Raises RulesInvalid with everything that does not fit."""
    try:
        return model.model_validate(source.content)
    except ValidationError as error:
        raise RulesInvalid([_explain(source, model, detail) for detail in _essential(error.errors())]) from error


def _essential(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Of a value that fits no member of a union pydantic reports each member, and a list without one good item it calls
    too short: one report of each fault is enough."""
    kept: dict[Path, ErrorDetails] = {}
    for detail in details:
        kept.setdefault(_clean(detail["loc"]), detail)
    return [
        detail for path, detail in kept.items()
        if detail["type"] != "too_short" or not any(other != path and other[: len(path)] == path for other in kept)
    ]  # fmt: skip


_UNION_TAGS = ("float", "str", "constrained-str")


def _clean(location: tuple[str | int, ...]) -> Path:
    """The path as written: pydantic adds the name of the union member that it tried."""
    return tuple(part for part in location if not (isinstance(part, str) and (part in _UNION_TAGS or "[" in part)))


def _explain(source: Source, root: type[BaseModel], detail: ErrorDetails) -> Problem:
    path = _clean(detail["loc"])
    context = detail.get("ctx", {})
    given = repr(detail["input"])[:60]
    match detail["type"]:
        case "rule":
            return source.problem(path, str(context["problem"]), str(context["allowed"]))
        case "extra_forbidden":
            return source.problem(path, "unknown key", ", ".join(_keys(root, path[:-1])) or "no key here")
        case "missing":
            return source.problem(path, "missing", f"required beside {', '.join(_keys(root, path[:-1]))}")
        case "literal_error" | "enum":
            return source.problem(path, f"{given} is unknown", str(context["expected"]))
        case "float_parsing" | "float_type":
            return source.problem(path, f"{given} is no limit", "a number, or for forecasts a duration such as 24h")
        case "string_pattern_mismatch" if "scrapes" in str(context["pattern"]):
            return source.problem(path, f"{given} is no duration", "30s, 5m, 2h, 1d or 2 scrapes")
        case "string_pattern_mismatch":
            return source.problem(path, f"{given} does not fit", "small letters and digits, joined by single hyphens")
        case "string_type" if path[-1:] in (("for",), ("window",)):
            return source.problem(path, f"{given} has no unit", "30s, 5m, 2h, 1d or 2 scrapes")
    return source.problem(path, f"{given}: {detail['msg']}", "see docs/rules.md")


def _keys(root: type[BaseModel], path: Path) -> list[str]:
    """What may stand at `path`, by the declaration."""
    model: type[BaseModel] | None = root
    for part in path:
        if isinstance(part, int) or model is None:
            continue
        by_name = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
        model = _model_in(by_name.get(part))
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, tuple, dict):
        return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
    return None
