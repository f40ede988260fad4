"""Rule files into a rule book: shape by `schema`, meaning here. Everything wrong is reported at once, with file, rule and field."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as FilePath
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from aggregator.rules.language import Rule, RuleBook
from aggregator.rules.meaning import Reader
from aggregator.rules.schema import RuleFile
from aggregator.rules.source import Path, Problem, RulesInvalid, Source

SHIPPED = FilePath(__file__).parent / "shipped"


def shipped_files() -> tuple[FilePath, ...]:
    return tuple(sorted(SHIPPED.glob("*.yaml")))


def load_files(files: Sequence[FilePath], scrape_interval: float) -> RuleBook:
    """Raises RulesInvalid with every problem of every file."""
    problems: list[Problem] = []
    rules: list[Rule] = []
    for file in files:
        try:
            rules.extend(parse_rules(file.name, file.read_text("utf-8"), scrape_interval))
        except RulesInvalid as refusal:
            problems.extend(refusal.problems)
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(str(file), 1, "", "", f"cannot be read: {error}", "a readable UTF-8 file"))
    problems.extend(_repeated(rules))
    if problems:
        raise RulesInvalid(problems)
    return RuleBook(tuple(rules), scrape_interval)


def parse_rules(file: str, text: str, scrape_interval: float) -> tuple[Rule, ...]:
    """The rules of one document. Raises RulesInvalid."""
    source = Source(file, text)
    try:
        parsed = RuleFile.model_validate(source.content)
    except ValidationError as error:
        raise RulesInvalid([_explain(source, detail) for detail in _essential(error.errors())]) from error
    problems: list[Problem] = []
    rules: list[Rule] = []
    for position, spec in enumerate(parsed.rules):
        reader = Reader(source, ("rules", position), spec, scrape_interval)
        rule = reader.rule()
        problems.extend(reader.problems)
        if rule is not None:
            rules.append(rule)
    if problems:
        raise RulesInvalid(problems)
    return tuple(rules)


def _repeated(rules: Sequence[Rule]) -> list[Problem]:
    first: dict[str, Rule] = {}
    problems = []
    for rule in rules:
        other = first.setdefault(rule.id, rule)
        if other is not rule:
            problems.append(Problem(rule.source, 1, rule.id, "id", f"already used in {other.source}", "an id of its own"))
    return problems


def _essential(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Of a value that fits no member of a union pydantic reports each member: one of them is enough."""
    kept: dict[Path, ErrorDetails] = {}
    for detail in details:
        kept.setdefault(_clean(detail["loc"]), detail)
    return list(kept.values())


_UNION_TAGS = ("float", "str", "constrained-str")


def _clean(location: tuple[str | int, ...]) -> Path:
    """The path as written: pydantic adds the name of the union member that it tried."""
    return tuple(part for part in location if not (isinstance(part, str) and (part in _UNION_TAGS or "[" in part)))


def _explain(source: Source, detail: ErrorDetails) -> Problem:
    path = _clean(detail["loc"])
    context = detail.get("ctx", {})
    given = repr(detail["input"])[:60]
    match detail["type"]:
        case "rule":
            return source.problem(path, str(context["problem"]), str(context["allowed"]))
        case "extra_forbidden":
            return source.problem(path, "unknown key", ", ".join(_keys(path[:-1])) or "no key here")
        case "missing":
            return source.problem(path, "missing", f"required beside {', '.join(_keys(path[:-1]))}")
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


def _keys(path: Path) -> list[str]:
    """What may stand at `path`, by the declaration."""
    model: type[BaseModel] | None = RuleFile
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
