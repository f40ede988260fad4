"""Identifiers: opaque, never reused, sortable by creation, their kind readable in a log line."""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(kind: str) -> str:
    """`kind-<10 characters of milliseconds><10 random characters>` in Crockford's Base32, lower case.

    50 random bits within one millisecond; at most 64 characters of `[A-Za-z0-9_-]`, as the wire demands.
    """
    number = (time.time_ns() // 1_000_000) << 50 | secrets.randbits(50)
    return f"{kind}-" + "".join(_ALPHABET[number >> shift & 31] for shift in range(95, -1, -5))
