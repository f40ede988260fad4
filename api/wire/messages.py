"""Refusals in the caller's language: which parameter, what was wrong, what is allowed. Chinese texts end with an
English code.

Texts that the domain words itself are translated by `api.wire.chinese`; a test finds the ones that are not there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from api.wire import chinese
from api.wire.languages import Language, Text
from api.wire.words import Words
from core.errors import Conflict, Fault, Forbidden, Invalid, NotFound, QuotaExceeded, Unauthorised

LONGEST_ECHO = 64
_MOST_PROBLEMS = 5

_MISSING = Text("缺少必需的值", "is required")
_NOT_TEXT = Text("应为文本", "must be text")
_NOT_INTEGER = Text("应为整数", "must be an integer")
_NOT_NUMBER = Text("应为数值", "must be a number")
_OUT_OF_RANGE = Text("超出范围", "is out of range")
_TOO_LONG = Text("过长", "is too long")
_TOO_SHORT = Text("过短", "is too short")
_NOT_LIST = Text("应为列表", "must be a list")
_NOT_OBJECT = Text("应为 JSON 对象", "must be a JSON object")

PROBLEMS: dict[str, Text] = {
    "missing": _MISSING,
    "string_type": _NOT_TEXT,
    "string_unicode": _NOT_TEXT,
    "string_too_short": _TOO_SHORT,
    "string_too_long": _TOO_LONG,
    "control_characters": Text("含有控制字符", "holds control characters"),
    "int_type": _NOT_INTEGER,
    "int_parsing": _NOT_INTEGER,
    "int_parsing_size": _OUT_OF_RANGE,
    "int_from_float": _NOT_INTEGER,
    "float_type": _NOT_NUMBER,
    "float_parsing": _NOT_NUMBER,
    "not_number": _NOT_NUMBER,
    "finite_number": _NOT_NUMBER,
    "greater_than": _OUT_OF_RANGE,
    "greater_than_equal": _OUT_OF_RANGE,
    "less_than": _OUT_OF_RANGE,
    "less_than_equal": _OUT_OF_RANGE,
    "boolean": Text("应为 true 或 false", "must be true or false"),
    "time": Text("不是有效的时间", "is not a valid time"),
    "choice": Text("不是允许的取值", "is not one of the allowed values"),
    "tuple_type": _NOT_LIST,
    "too_short": Text("项数过少", "has too few items"),
    "too_long": Text("项数过多", "has too many items"),
    "model_type": _NOT_OBJECT,
    "model_attributes_type": _NOT_OBJECT,
    "predicate_failed": Text("格式不正确", "has the wrong form"),
}
"""By pydantic's error type or our own."""

_ECHOED = frozenset(PROBLEMS) - {
    "missing", "string_type", "string_unicode", "string_too_short", "string_too_long", "control_characters",
    "tuple_type", "too_short", "too_long", "model_type", "model_attributes_type", "predicate_failed",
}  # fmt: skip
"""Where the value is shown again. Never text: it may be a password."""


@dataclass(frozen=True, slots=True)
class Problem:
    """`name` as the caller spells it, with its place in lists; `code` is a key of PROBLEMS."""

    name: str
    code: str
    given: object
    allowed: Text


@dataclass(eq=False)
class BadParameters(Fault):
    """KEY_PARAM is an object, and some of its values cannot be taken."""

    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        return explain(self, Words(), Language.EN)


def place(location: Sequence[int | str]) -> str:
    """`realnode[0].realnode.ip`"""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")


def explain(fault: Fault, words: Words, language: Language, *, platform: bool = False) -> str:
    """One line for people. `words` turn the domain's field names into what the caller sent; `platform`: the reader may
    know of hosts."""
    if isinstance(fault, BadParameters):
        lines = [_problem(problem, language) for problem in fault.problems[:_MOST_PROBLEMS]]
        return ("；" if language is Language.ZH else "; ").join(lines)
    text, code = _fault(fault, words)
    inside = fault.inside if platform else ""
    if language is Language.ZH:
        return f"{text.zh}{inside and '：'}{inside} [{code}]"
    return f"{text.en}{inside and ': '}{inside}"


def code_of(fault: Fault) -> str:
    """The stable code of a refusal; of several wrong parameters that of the first."""
    return fault.problems[0].code if isinstance(fault, BadParameters) else _fault(fault, Words())[1]


def _problem(problem: Problem, language: Language) -> str:
    what = PROBLEMS[problem.code]
    given = _shown(problem.given) if problem.code in _ECHOED else ""
    if language is Language.ZH:
        received = f"，收到 {given}" if given else ""
        return f"参数 {problem.name} {what.zh}{received}；允许：{problem.allowed.zh} [{problem.code}]"
    received = f", got {given}" if given else ""
    return f"parameter {problem.name} {what.en}{received}; allowed: {problem.allowed.en}"


def _fault(fault: Fault, words: Words) -> tuple[Text, str]:
    match fault:
        case Invalid(field, problem, allowed):
            name, what, choice = words.find(field) or field, both(problem), both(allowed)
            zh = f"参数 {name} {what.zh}；允许：{choice.zh}"
            return Text(zh, f"parameter {name} {what.en}; allowed: {choice.en}"), "invalid"
        case Unauthorised(reason):
            return Text(f"认证失败：{both(reason).zh}", f"authentication failed: {reason}"), "unauthorised"
        case Forbidden(reason):
            return Text(f"没有权限：{both(reason).zh}", f"forbidden: {reason}"), "forbidden"
        case NotFound(kind, key):
            noun, shown = both(kind), short(key)
            return Text(f"{noun.zh} {shown} 不存在", f"{noun.en} {shown} does not exist"), "not_found"
        case Conflict(kind, key, reason):
            noun, why, shown = both(kind), both(reason), short(key)
            return Text(f"{noun.zh} {shown}：{why.zh}", f"{noun.en} {shown}: {why.en}"), "conflict"
        case QuotaExceeded(resource, wanted, left, unit):
            what, measure = both(resource), both(unit)
            zh = f"{what.zh}配额不足：需要 {wanted} {measure.zh}，剩余 {left} {measure.zh}"
            return Text(zh, str(fault)), "quota_exceeded"
    return both(str(fault)), "refused"


def both(text: str) -> Text:
    """The domain's English with its Chinese; English in both where there is none."""
    return Text(chinese.translate(text), text)


def short(text: str) -> str:
    return text if len(text) <= LONGEST_ECHO else text[:LONGEST_ECHO] + "…"


def _shown(value: object) -> str:
    return short(json.dumps(value, ensure_ascii=False, default=str))
