"""Keys of Ceph users: Ceph's own form of them."""

from __future__ import annotations

import base64
import struct
from datetime import UTC, datetime

from core.compute.ceph_keys import new_key

MADE = datetime(2014, 7, 2, 9, 21, 11, 750, tzinfo=UTC)


def test_a_key_has_the_form_that_ceph_gives_them() -> None:
    raw = base64.b64decode(new_key(MADE), validate=True)
    type_, seconds, nanoseconds, length = struct.unpack_from("<HIIH", raw)
    assert (type_, seconds, nanoseconds, length, len(raw)) == (1, int(MADE.timestamp()), 750_000, 16, 28)


def test_a_key_that_ceph_printed_is_read_in_the_same_way() -> None:
    """`client.admin` of the example in Ceph's documentation, User Management, "List Users"."""
    raw = base64.b64decode("AQBHCbtT6APDHhAA5W00cBchwkQjh3dkKsyPjw==", validate=True)
    type_, seconds, _, length = struct.unpack_from("<HIIH", raw)
    assert (type_, datetime.fromtimestamp(seconds, UTC).year, length, len(raw)) == (1, 2014, 16, 28)
    assert len(new_key(MADE)) == 40


def test_no_two_are_the_same() -> None:
    assert len({new_key(MADE) for _ in range(100)}) == 100
