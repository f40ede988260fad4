"""Tokens: how they look, and the only form in which they are kept.

A token is a prefix that scanners of leaked secrets recognise, 37 random characters (220 bits) and a CRC-32, so that a
mistyped or cut one is told from an unknown one without asking the database. Kept is HMAC-SHA256 under a key that is not
in the database: whoever steals the database alone can neither use a token nor check a guess. A slow password hash would
add nothing to 220 bits.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from core.context import Role
from core.errors import Invalid
from core.files import create_private
from core.settings import Settings

PREFIX: Final = {Role.PLATFORM: "svp_", Role.TENANT: "svt_"}
KEY_FILE: Final = "token.key"
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_TOKEN: Final = re.compile(rf"(?:{'|'.join(PREFIX.values())})[{_ALPHABET}]+")
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


def masked(text: str) -> str:
    """The text without tokens of ours: somebody may have put one where it does not belong."""
    return _TOKEN.sub("***", text)


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
    """The key ring of an installation: its setting, or a file of the data folder, whose first use creates the key
    (0600). Raises Invalid when it is damaged.
    """
    allowed = f"{_KEY_BYTES} bytes in Base64"
    if settings.token_key is not None:
        return _read(settings.token_key, Invalid("token_key", "not a key", allowed))
    path = settings.data_dir / KEY_FILE
    if not path.exists():
        create_private(path, base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode() + "\n")
    again = f"{allowed}; restore it, or delete it and issue all tokens anew"
    return _read(path.read_text("latin-1"), Invalid("data_dir", f"{path} is damaged", again))


def _read(text: str, damaged: Invalid) -> KeyRing:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError as problem:
        raise damaged from problem
    if len(key) != _KEY_BYTES:
        raise damaged
    return KeyRing(key)
