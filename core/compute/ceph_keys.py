"""Keys of Ceph users, made here: whoever asks for a volume is told its key at once, before the cluster has heard of it.

Such a key is what `ceph-authtool --gen-print-key` prints: Base64 of the `CryptoKey` of Ceph (src/auth/Crypto.h), little
endian: the type (1, AES), when it was made (seconds, nanoseconds), the number of its bytes, and as many random ones.
"""

from __future__ import annotations

import base64
import secrets
import struct
from datetime import datetime
from typing import Final

_HEAD: Final = struct.Struct("<HIIH")
_AES: Final = 1
_SECRET_BYTES: Final = 16


def new_key(now: datetime) -> str:
    """One that no other user has: 128 random bits."""
    head = _HEAD.pack(_AES, int(now.timestamp()), now.microsecond * 1000, _SECRET_BYTES)
    return base64.b64encode(head + secrets.token_bytes(_SECRET_BYTES)).decode()
