"""KEY_PARAM out of a request body, urlencoded or multipart, without ever holding more than the limit.

A body over the limit is refused as soon as it shows. What the client still sends is read and thrown away up to a bound,
because a connection closed over unread bytes is reset, and the client would never see the answer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from api.wire.codec import PARAMETER
from core.errors import Invalid

BODY_LIMIT = 1024 * 1024
DISCARD_LIMIT = 16 * BODY_LIMIT
_MOST_FIELDS = 100
_ALLOWED = f"{PARAMETER} in application/x-www-form-urlencoded or multipart/form-data"


class BodyTooLarge(Exception):
    """The body is over BODY_LIMIT."""


async def key_param(request: Request) -> str:
    """The text of KEY_PARAM in the body; empty when there is none. Raises BodyTooLarge, Invalid, ClientDisconnect."""
    body = await _body(request)
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await _multipart(request, body)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Invalid("the body", "is not a form", _ALLOWED) from None
    return dict(pairs).get(PARAMETER, "")


async def discard(request: Request) -> None:
    """Read and forget the body, up to a bound."""
    total = 0
    try:
        async for chunk in request.stream():
            total += len(chunk)
            if total > DISCARD_LIMIT:
                return
    except (ClientDisconnect, RuntimeError):
        return


async def _body(request: Request) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > BODY_LIMIT:
        raise BodyTooLarge
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise BodyTooLarge
    return bytes(body)


async def _multipart(request: Request, body: bytes) -> str:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await MultiPartParser(request.headers, stream(), max_fields=_MOST_FIELDS, max_files=1).parse()
    except (MultiPartException, KeyError, ValueError):
        raise Invalid("the body", "is not a form", _ALLOWED) from None
    try:
        value = (form.getlist(PARAMETER) or [""])[-1]
        return (await value.read()).decode("latin-1") if isinstance(value, UploadFile) else value
    finally:
        await form.close()
