"""Tokens: how they look, and the only form in which they are kept.

A token is a prefix that scanners of leaked secrets recognise, 37 random characters (220 bits) and a CRC-32, so that a
mistyped or cut one is told from an unknown one without asking the database. Kept is HMAC-SHA256 under a key that is not
in the database: whoever steals the database alone can neither use a token nor check a guess. A slow password hash would
add nothing to 220 bits.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import string
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from core.context import Role
from core.errors import Invalid
from core.files import create_private
from core.settings import Settings

PREFIX: Final = {Role.PLATFORM: "svp_", Role.TENANT: "svt_"}
KEY_FILE: Final = "token.key"
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM: Final = 37
_CHECKSUM: Final = 6
_KEY_BYTES: Final = 32


def new_token(role: Role) -> str:
    body = PREFIX[role] + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return body + _checksum(body)


def is_damaged(text: str) -> bool:
    """True for a text that begins like one of our tokens and cannot be one: mistyped or cut. Other texts are not
    judged.
    """
    if not text.startswith(tuple(PREFIX.values())):
        return False
    body, checksum = text[:-_CHECKSUM], text[-_CHECKSUM:]
    return len(body) != len(PREFIX[Role.PLATFORM]) + _RANDOM or checksum != _checksum(body)


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = []
    for _ in range(_CHECKSUM):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The key under which tokens are hashed. It is not shown in logs and tracebacks."""

    key: bytes = field(repr=False)

    def digest(self, token: str) -> str:
        """64 hexadecimal characters; the same token gives the same ones as long as the key lives."""
        return hmac.new(self.key, token.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


@lru_cache(maxsize=16)
def key_ring(settings: Settings) -> KeyRing:
    """The key ring of a data folder; its first use there creates the key (0600). Raises Invalid when the file is
    damaged.
    """
    return _load(settings.data_dir / KEY_FILE)


def _load(path: Path) -> KeyRing:
    if not path.exists():
        create_private(path, base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode() + "\n")
    try:
        key = base64.b64decode(path.read_text(encoding="ascii").strip(), validate=True)
    except (binascii.Error, UnicodeDecodeError) as problem:
        raise _damaged(path) from problem
    if len(key) != _KEY_BYTES:
        raise _damaged(path)
    return KeyRing(key)


def _damaged(path: Path) -> Invalid:
    return Invalid(
        "data_dir",
        f"{path} is damaged",
        f"{_KEY_BYTES} bytes in Base64; restore it, or delete it and issue all tokens anew",
    )
