"""KEY_PARAM and answers: Base64 of UTF-8 JSON. Reads sloppy clients, writes exactly one form.

Forgiven: `+` that arrived as a space, the URL-safe alphabet, absent padding, line breaks, percent-escapes that were not
undone, a byte order mark, white space and trailing stars in keys. Of duplicate keys the last one wins. Never forgiven:
anything that would make two readings possible.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import unquote

import orjson

from core.errors import Invalid

PARAMETER = "KEY_PARAM"
_LINE_BREAKS = str.maketrans(dict.fromkeys("\r\n\t"))
_ALPHABET = str.maketrans(" -_", "++/")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_DEEPEST = 16
_ALLOWED = "a JSON object in UTF-8, then Base64"


def decode(text: str) -> dict[str, object]:
    """The JSON object in KEY_PARAM; empty text is the empty object. Raises Invalid."""
    plain = _bytes(text)
    if not plain:
        return {}
    try:
        plain.decode()
    except UnicodeDecodeError:
        raise Invalid(PARAMETER, "is not UTF-8 after Base64", _ALLOWED) from None
    try:
        value = orjson.loads(plain)
    except orjson.JSONDecodeError:
        raise Invalid(PARAMETER, "is not JSON after Base64", _ALLOWED) from None
    if not isinstance(value, dict):
        raise Invalid(PARAMETER, "is JSON, but not an object", _ALLOWED)
    return {_key(key): _clean(item, _DEEPEST) for key, item in value.items()}


def _bytes(text: str) -> bytes:
    packed, padding, rest = unquote(text).translate(_LINE_BREAKS).lstrip(" ").partition("=")
    if rest.strip("= "):
        raise Invalid(PARAMETER, "is not Base64", _ALLOWED)
    if not padding and not packed.strip(" "):
        return b""
    packed = packed.translate(_ALPHABET)
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True).removeprefix(_BYTE_ORDER_MARK)
    except ValueError:
        raise Invalid(PARAMETER, "is not Base64", _ALLOWED) from None


def _key(key: str) -> str:
    return "".join(key.split()).rstrip("*")


def _clean(value: object, depth: int) -> object:
    if depth == 0:
        raise Invalid(PARAMETER, "is nested too deeply", _ALLOWED)
    match value:
        case dict():
            return {_key(key): _clean(item, depth - 1) for key, item in value.items()}
        case list():
            return [_clean(item, depth - 1) for item in value]
    return value


def encode(answer: Mapping[str, object]) -> bytes:
    """Standard Base64 with padding, in one line."""
    return base64.b64encode(orjson.dumps(answer))
