"""Webhook: one POST of JSON per letter, with its key in `Idempotency-Key`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from aggregator.notify import http
from aggregator.notify.port import Failed, Letter, Outcome


class Webhook:
    """`url` gets the announcement's payload. `headers` go along with each request, for a token; `timeout`: seconds."""

    kind = "webhook"
    batch = 5

    def __init__(
        self, url: str, headers: Mapping[str, str] | None = None, timeout: float = http.TIMEOUT_SECONDS
    ) -> None:
        self._url = url
        self._client = http.client(headers, timeout)

    def send(self, letters: Sequence[Letter]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        for letter in letters:
            content = orjson.dumps(letter.announcement.payload())
            outcome = http.post(self._client, self._url, content, {"Idempotency-Key": letter.key})
            outcomes.append(outcome)
            if isinstance(outcome, Failed):
                break
        return outcomes

    def close(self) -> None:
        self._client.close()
