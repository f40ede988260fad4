"""Secrets at rest that must be read again: sealed with AES-256-GCM, opened explicitly, shown never.

A sealed text is bound to its table, column and row: copied into another row it does not open. The key file is not in
the database, so that a stolen database alone tells nothing. It may hold several keys, one a line: the first one seals,
all of them open; to change the key, put a new line on top.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

from core.errors import Invalid
from core.files import create_private
from core.settings import Settings

KEY_FILE: Final = "sealing.key"
_VERSION: Final = "v1"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class Unsealable(Exception):
    """The text was not sealed for this place, was changed, or its key is gone. Nothing of it is shown."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed text stands, and the only place where it opens."""

    table: str
    column: str
    row_id: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """`v1.<key id>.<Base64 of nonce and ciphertext>`. It shows itself as *** everywhere."""

    text: str

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class SealingKeys:
    """The keys by id; the first one seals."""

    keys: dict[str, bytes] = field(repr=False)

    def seal(self, plain: str, place: Place) -> Sealed:
        key_id = next(iter(self.keys))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self.keys[key_id]).encrypt(nonce, plain.encode(), _bound(place))
        return Sealed(f"{_VERSION}.{key_id}.{base64.b64encode(nonce + sealed).decode()}")

    def open(self, sealed: Sealed, place: Place) -> str:
        """The plain text. Raises Unsealable."""
        version, key_id, body = _parts(sealed)
        key = self.keys.get(key_id)
        if version != _VERSION or key is None:
            raise Unsealable(f"sealed with key {key_id}, which {KEY_FILE} does not hold")
        nonce, sealed_bytes = body[:_NONCE_BYTES], body[_NONCE_BYTES:]
        try:
            return AESGCM(key).decrypt(nonce, sealed_bytes, _bound(place)).decode()
        except InvalidTag as problem:
            raise Unsealable("changed, or sealed for another place") from problem


def _bound(place: Place) -> bytes:
    return f"{_VERSION}\0{place.table}\0{place.column}\0{place.row_id}".encode()


def _parts(sealed: Sealed) -> tuple[str, str, bytes]:
    try:
        version, key_id, text = sealed.text.split(".")
        body = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as problem:
        raise Unsealable("not a sealed text") from problem
    if len(body) < _NONCE_BYTES:
        raise Unsealable("not a sealed text")
    return version, key_id, body


@lru_cache(maxsize=16)
def sealing_keys(settings: Settings) -> SealingKeys:
    """The keys of the settings, or else of the data folder; their first use there creates one (0600). Raises Invalid
    when they are damaged."""
    if settings.sealing_keys is not None:
        return SealingKeys(_read("sealing_keys", "the text", settings.sealing_keys))
    path = settings.data_dir / KEY_FILE
    if not path.exists():
        create_private(path, base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode() + "\n")
    return SealingKeys(_read("data_dir", str(path), path.read_text(encoding="utf-8")))


def _read(setting: str, where: str, text: str) -> dict[str, bytes]:
    keys = [_key(word) for word in text.split()]
    found = {hashlib.sha256(key).hexdigest()[:8]: key for key in keys if key is not None}
    if len(found) != len(keys) or not found:
        raise Invalid(
            setting, f"{where} is damaged", "32 bytes in Base64 on each line; what was sealed needs the key it had"
        )
    return found


def _key(word: str) -> bytes | None:
    try:
        key = base64.b64decode(word, validate=True)
    except (ValueError, binascii.Error):
        return None
    return key if len(key) == _KEY_BYTES else None


class SealedText(TypeDecorator[Sealed]):
    """A column of sealed texts."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Sealed | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else value.text

    def process_result_value(self, value: str | None, dialect: Dialect) -> Sealed | None:  # noqa: ARG002
        return None if value is None else Sealed(value)
