"""What the audit log is told of an operation. Never a secret: of parameters their names, and values only where the type
has no room for one (numbers, switches, choices, times); ids, by the names that hold them, when they look like ids; and
texts of refusals without the texts that the caller gave.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from api.wire.languages import Language
from api.wire.messages import code_of, explain
from api.wire.operation import Operation
from api.wire.parameters import Parameter
from core.audit.log import Deed, End
from core.audit.rows import Outcome
from core.context import Caller
from core.errors import Fault
from core.secrets import masked

_ID: Final = re.compile(r"[A-Za-z0-9][\w.:/-]{0,191}", re.ASCII)
_PLAIN: Final = frozenset({"integer", "number", "boolean"})
_SHORTEST: Final = 4
"""Texts that are shorter are left in the reasons of refusals: they would turn up in every word."""
_LONGEST_VALUE: Final = 64


def deed(
    operation: Operation, caller: Caller, address: str, raw: Mapping[str, object], answer: Mapping[str, object]
) -> Deed:
    """`raw`: what was asked, as it came; `answer`: the envelope, empty for a failure."""
    given = {item.name: raw[item.name] for item in operation.parameters if item.name in raw}
    kinds = {item.name: item for item in operation.parameters}
    return Deed(
        operation=operation.name, address=address, role=caller.role, token_id=caller.token_id,
        tenant_id=caller.tenant_id,
        parameters={name: _plain(kinds[name], value) if answer else None for name, value in given.items()},
        objects={id_: name for source in (given, answer) for name, id_ in _ids(source)},
    )  # fmt: skip


def success(tasks: Sequence[str]) -> End:
    return End(outcome=Outcome.SUCCEEDED, tasks=tasks)


def failure(fault: Fault, operation: Operation, raw: Mapping[str, object]) -> End:
    """Its reason as the platform may read it."""
    reason = explain(fault, operation.words, Language.EN, platform=True)
    return End(outcome=Outcome.FAILED, code=code_of(fault), reason=_without(raw, reason))


def _plain(parameter: Parameter, value: object) -> str | None:
    """The value, where its type has no room for a secret. It was read already, so it is of that type."""
    schema = parameter.schema
    if schema.get("type") in _PLAIN or "enum" in schema or "format" in schema:
        return (value if isinstance(value, str) else json.dumps(value))[:_LONGEST_VALUE]
    return None


def _ids(value: object) -> Iterator[tuple[str, str]]:
    """All ids in a JSON value, each with the name of what holds it; not what has the form of one of our tokens."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if str(name).casefold().endswith(("id", "ids")):
                yield from ((str(name)[:64], text) for text in _texts(inner) if _is_id(text))
            else:
                yield from _ids(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _ids(inner)


def _is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None and masked(text) == text


def _texts(value: object) -> Iterator[str]:
    """One text, a list of them, or several with commas between."""
    if isinstance(value, str):
        yield from (text.strip() for text in value.split(","))
    elif isinstance(value, list):
        yield from (text for text in value if isinstance(text, str))


def _without(raw: Mapping[str, object], reason: str) -> str:
    """The reason without the caller's own texts, ids excepted."""
    ids = {text for _, text in _ids(raw)}
    for text in sorted(_leaves(raw), key=len, reverse=True):
        if len(text) >= _SHORTEST and text not in ids:
            reason = reason.replace(text, "***")
    return masked(reason)


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
