"""Why a scrape failed, in one word and for people."""

from __future__ import annotations

from enum import IntEnum


class Failure(IntEnum):
    """The number is the `failure` field of the target's sample, so members are only ever added."""

    NONE = 0
    DNS = 1
    CONNECT = 2
    TLS = 3
    RESET = 4
    TIMEOUT = 5
    PROTOCOL = 6
    HTTP = 7
    BODY = 8
    BODY_LIMIT = 9
    SERIES_LIMIT = 10
    PARSE = 11
    SOURCE = 12
    """The exporter answers, and says that it cannot reach what it reports about."""


class ScrapeFailed(Exception):
    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(reason)
        self.failure = failure


class Unanswered(ScrapeFailed):
    """The connection ended before an answer began. A kept one may just have been closed: it is worth another try."""

    def __init__(self, reason: str) -> None:
        super().__init__(Failure.RESET, reason)
