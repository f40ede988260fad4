"""What commands ask of the running server: each way to ask ends the command with the reason when there is no answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from api.cli_server import fail, token_or_saved

if TYPE_CHECKING:
    from api.wire.client import Answer, StarVCenter

PAGE: Final = 30
"""The largest page that the wire knows."""


class Connection:
    """To one server, with one token."""

    def __init__(self, url: str, client: StarVCenter) -> None:
        self._url = url
        self._client = client

    def answer(self, method: str, path: str, params: Mapping[str, object] | None = None) -> Answer:
        """Also a refusal. Parameters that are None or empty are left out."""
        import httpx

        from api.wire.client import NotAnAnswer

        given = None if params is None else {name: value for name, value in params.items() if value not in (None, "")}
        try:
            return self._client.call(method, path, given)
        except NotAnAnswer as problem:
            fail(str(problem))
        except httpx.HTTPError as problem:
            fail(f"{self._url} cannot be reached: {problem}")

    def ask(self, method: str, path: str, params: Mapping[str, object] | None = None) -> Any:
        """The data of the answer."""
        answer = self.answer(method, path, params)
        if not answer.succeeded:
            fail(answer.text)
        return answer.data

    def one(self, path: str, params: Mapping[str, object], what: str) -> dict[str, Any]:
        """The only row of a search; ends the command when it finds none."""
        found = self.ask("POST", path, params)
        if not found:
            fail(f"there is no {what}")
        row: dict[str, Any] = found[0]
        return row

    def first(self, path: str, params: Mapping[str, object], limit: int) -> list[dict[str, Any]]:
        """The first `limit` rows of a search, page by page."""
        found: list[dict[str, Any]] = []
        while len(found) < limit:
            page = {"page.startnum": len(found) + 1, "page.everypagenum": PAGE}
            rows = self.ask("POST", path, {**params, **page})
            found += rows
            if len(rows) < PAGE:
                break
        return found[:limit]


@contextmanager
def connected(url: str, token: str) -> Iterator[Connection]:
    """To the server at `url`, with the token that was given or the saved one."""
    from api.wire.client import StarVCenter  # --help starts faster without it

    with StarVCenter(url, token_or_saved(token), language="en") as client:
        yield Connection(url, client)


def in_path(id_: str) -> str:
    """An id as the last part of a path."""
    return quote(id_, safe="")
