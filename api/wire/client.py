"""A client of the wire format: for `starvc call`, for tests, and for programs that would rather not pack Base64
themselves.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import httpx
import orjson

from api.operations.table import SECTIONS
from api.wire.app import BASE
from api.wire.codec import PARAMETER
from api.wire.envelope import Result
from api.wire.frame import TOKEN
from api.wire.operation import Table

_TIMEOUT = 30.0


class NotAnAnswer(Exception):
    """What came back is not an envelope of the wire format: the address is probably another service's."""


class UnknownOperation(Exception):
    """No operation has this path, or several methods do: the text lists what there is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`data` is absent (None) in failures and in accepted tasks without a result; `text` is the reason of a failure."""

    status: int
    result: str
    data: object = None
    text: str = ""
    task_id: str | None = None
    total: int | None = None

    @property
    def succeeded(self) -> bool:
        return self.result == Result.SUCCESS


class StarVCenter:
    """Speaks to one service with one token. Use it in a `with` block, or close it."""

    def __init__(
        self, url: str, token: str, *, language: str = "zh", transport: httpx.BaseTransport | None = None
    ) -> None:
        """`url` is `http://HOST:PORT`, or the base URL that the document gives."""
        root = url.rstrip("/").removesuffix(BASE)
        headers = {TOKEN: token, "accept-language": language}
        self._http = httpx.Client(
            base_url=f"{root}{BASE}/", headers=headers, timeout=_TIMEOUT, transport=transport, trust_env=False
        )
        self._table = Table(SECTIONS)

    def call(self, method: str, path: str, params: Mapping[str, object] | None = None) -> Answer:
        """Raises httpx.HTTPError when the service cannot be reached, NotAnAnswer when it is something else."""
        form = None if params is None else {PARAMETER: pack(params)}
        response = self._http.request(method.upper(), path.strip("/"), data=form)
        return unpack(response.status_code, response.content)

    def __call__(self, path: str, params: Mapping[str, object] | None = None) -> Answer:
        """Like `call`, with the method that the table of operations knows for the path. Raises UnknownOperation."""
        return self.call(self.method(path), path, params)

    def method(self, path: str) -> str:
        """The only method of a path."""
        methods = self._table.methods(path.strip("/"))
        if len(methods) != 1:
            choice = ", ".join(methods) or "none"
            raise UnknownOperation(f"{path}: give the method; those of this path: {choice}")
        return methods[0]

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def pack(params: Mapping[str, object]) -> str:
    """The text of KEY_PARAM."""
    return base64.b64encode(json.dumps(params, ensure_ascii=False).encode()).decode("ascii")


def unpack(status: int, body: bytes) -> Answer:
    """The envelope in a response's body. Raises NotAnAnswer."""
    try:
        envelope = orjson.loads(base64.b64decode(body, validate=True))
        return Answer(
            status,
            envelope["result"],
            envelope.get("data"),
            envelope.get("resultinfo", ""),
            envelope.get("startid"),
            envelope.get("dataCount"),
        )
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError):
        raise NotAnAnswer(f"HTTP status {status}, and no StarVCenter answer in {len(body)} bytes") from None
