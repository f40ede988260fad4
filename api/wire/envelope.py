"""The envelope around every answer, and its three result codes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from fastapi import Response

from api.wire import codec
from api.wire.answers import Writer
from api.wire.languages import Language
from api.wire.words import Words
from core.context import Page, Started

MEDIA_TYPE = "text/plain;charset=UTF-8"


class Result(StrEnum):
    SUCCESS = "0"
    FAILURE = "1"
    BAD_TOKEN = "1003"  # noqa: S105 (a result code)


class Nothing(StrEnum):
    """How the document prints `data` of an operation that has no result."""

    TEXT = "text"
    LIST = "list"
    OBJECT = "object"
    ABSENT = "absent"


_EMPTY: Mapping[Nothing, object] = {Nothing.TEXT: "", Nothing.LIST: [], Nothing.OBJECT: {}}


def success(value: object, words: Words, writer: Writer, nothing: Nothing = Nothing.TEXT) -> dict[str, object]:
    """`data`; with `dataCount` for a counted page, with `startid` for a task. A task without a result yet has no
    `data`; an operation without a result has what the document prints for it.
    """
    match value:
        case None if nothing is Nothing.ABSENT:
            return {"result": Result.SUCCESS.value}
        case None:
            return {"result": Result.SUCCESS.value, "data": _EMPTY[nothing]}
        case Page(rows, total):
            counted = {} if total is None else {"dataCount": total}
            return {"result": Result.SUCCESS.value, "data": writer.write(rows, words), **counted}
        case Started(task_id, None):
            return {"result": Result.SUCCESS.value, "startid": task_id}
        case Started(task_id, known):
            return {"result": Result.SUCCESS.value, "data": writer.write(known, words), "startid": task_id}
    return {"result": Result.SUCCESS.value, "data": writer.write(value, words)}


def failure(result: Result, text: str) -> dict[str, object]:
    return {"result": result.value, "resultinfo": text}


def response(
    envelope: Mapping[str, object], language: Language, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(
        codec.encode(envelope),
        status_code=status,
        headers={
            "content-type": MEDIA_TYPE,
            "content-language": language.value,
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            **(headers or {}),
        },
    )
