"""One HTTP/1.1 connection to an exporter, kept between scrapes: h11 speaks, asyncio carries.

Worst moments: an answer that nobody asked for, or the rest of one that was given up (the connection is closed, never
used again); a kept connection that the exporter has just closed (a reset before the answer, which the caller may try
once more); an end within the page, told apart from a reset by what the peer announced.
"""

from __future__ import annotations

import asyncio
from typing import cast

import h11

from collector.body import Body
from collector.failure import Failure, ScrapeFailed, Unanswered

_OK = 200


class Connection(asyncio.Protocol):
    """`limit`: bytes of the unpacked page. One question at a time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._http = h11.Connection(h11.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._body: Body | None = None

    @property
    def idle(self) -> bool:
        """It can be asked."""
        open_ = self._transport is not None and not self._transport.is_closing()
        return open_ and self._http.states == {h11.CLIENT: h11.IDLE, h11.SERVER: h11.IDLE}

    async def ask(self, request: h11.Request) -> bytes:
        """The page that answers. Raises ScrapeFailed; `idle` says whether the connection can be kept."""
        assert self._transport is not None
        self._answer, self._body = asyncio.get_running_loop().create_future(), None
        packets = self._http.send(request), self._http.send(h11.EndOfMessage())
        self._transport.write(b"".join(packet for packet in packets if packet))
        return await self._answer

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._waited_for() is None:
            self.abort()
            return
        self._http.receive_data(data)
        self._read()

    def eof_received(self) -> None:
        if self._body is None:
            self._fail(Unanswered("connection closed before the answer"))
        elif self._waited_for() is not None:
            self._http.receive_data(b"")
            self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        why = f": {exc}" if exc else ""
        if self._body is None:
            self._fail(Unanswered(f"connection reset before the answer{why}"))
        else:
            self._fail(ScrapeFailed(Failure.RESET, f"connection reset within the page{why}"))

    def _read(self) -> None:
        try:
            while self._waited_for() is not None and (event := self._http.next_event()) is not h11.NEED_DATA:
                self._take(event)
        except h11.RemoteProtocolError as error:
            failure = Failure.PROTOCOL if self._body is None else Failure.BODY
            self._fail(ScrapeFailed(failure, str(error)))
        except ScrapeFailed as failed:
            self._fail(failed)

    def _take(self, event: object) -> None:
        match event:
            case h11.Response(status_code=status) if status != _OK:
                raise ScrapeFailed(Failure.HTTP, f"status {status}")
            case h11.Response(headers=headers):
                self._body = Body(dict(headers).get(b"content-encoding", b"identity").decode("latin-1"), self._limit)
            case h11.Data(data=data) if self._body is not None:
                self._body.feed(bytes(data))
            case h11.EndOfMessage() if self._body is not None and (answer := self._waited_for()) is not None:
                answer.set_result(self._body.page())
                self._again()
            case h11.InformationalResponse():
                pass
            case _:
                raise ScrapeFailed(Failure.PROTOCOL, f"{event} instead of an answer")

    def _again(self) -> None:
        """Ready for the next question; closed if the exporter does not keep connections, or says more than asked."""
        more, _ = self._http.trailing_data
        if not more and self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self.abort()

    def _waited_for(self) -> asyncio.Future[bytes] | None:
        return None if self._answer is None or self._answer.done() else self._answer

    def _fail(self, failed: ScrapeFailed) -> None:
        if (answer := self._waited_for()) is not None:
            answer.set_exception(failed)
