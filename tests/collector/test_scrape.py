"""Fetching from exporters that behave, and from those that do not, over loopback."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import struct
import time
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest

from collector.failure import Failure, ScrapeFailed
from collector.scrape import Fetcher
from tests.support.real import free_port

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PAGE = b"up 1\n" * 200
TRUST = ssl.create_default_context()
LIMIT = 1 << 20


def head(extra: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\nContent-Type: text/plain\r\n" + extra + b"\r\n"


def sized(body: bytes, extra: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return head(b"Content-Length: %d\r\n" % len(body) + extra, status) + body


def fetch(behaviour: Behaviour, times: int = 1, timeout: float = 2.0) -> list[bytes | Failure]:
    """What some fetches in a row give from an exporter with this behaviour."""

    async def run() -> list[bytes | Failure]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await behaviour(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        fetcher = Fetcher(f"http://127.0.0.1:{port}/metrics", timeout, LIMIT, TRUST)
        found = [await outcome(fetcher) for _ in range(times)]
        await fetcher.close()
        server.close()
        return found

    return asyncio.run(run())


async def outcome(fetcher: Fetcher) -> bytes | Failure:
    try:
        return await fetcher.fetch()
    except ScrapeFailed as failed:
        return failed.failure


async def request(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def answering(*chunks: bytes) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()

    return behave


def test_a_packed_and_a_plain_page_arrive_whole() -> None:
    assert fetch(answering(sized(gzip.compress(PAGE), b"Content-Encoding: gzip\r\n"))) == [PAGE]
    assert fetch(answering(sized(PAGE))) == [PAGE]


def test_a_page_packed_in_several_members_and_small_pieces_arrives_whole() -> None:
    packed = gzip.compress(PAGE[:300]) + gzip.compress(PAGE[300:])
    pieces = [packed[at : at + 7] for at in range(0, len(packed), 7)]
    chunked = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces] + [b"0\r\n\r\n"]
    answer = head(b"Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n")
    assert fetch(answering(answer, *chunked)) == [PAGE]


def test_the_connection_is_kept_and_the_request_says_what_prometheus_says() -> None:
    seen: list[bytes] = []
    connections = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            seen.append(await request(reader))
            writer.write(sized(PAGE))

    assert fetch(behave, times=3, timeout=2.5) == [PAGE] * 3
    assert connections == 1
    assert b"X-Prometheus-Scrape-Timeout-Seconds: 2.5" in seen[0]
    assert b"Accept-Encoding: gzip" in seen[0]


def test_a_kept_connection_that_was_closed_meanwhile_is_tried_once_more() -> None:
    assert fetch(answering(sized(PAGE)), times=4) == [PAGE] * 4


def test_a_reset_before_the_answer_is_tried_once_and_only_once_more() -> None:
    attempts = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        await request(reader)
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert fetch(behave) == [Failure.RESET]
    assert attempts == 2


def test_what_nobody_asked_for_is_never_taken_for_the_next_answer() -> None:
    connections = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await request(reader)
        writer.write(sized(PAGE) + (sized(b"old 1\n") if connections == 1 else b""))
        await reader.read()

    assert fetch(behave, times=2) == [PAGE, PAGE]
    assert connections == 2


def test_an_informational_answer_comes_before_the_answer() -> None:
    assert fetch(answering(b"HTTP/1.1 103 Early Hints\r\n\r\n" + sized(PAGE))) == [PAGE]


def test_an_error_status_is_not_tried_again_and_the_next_scrape_is_free() -> None:
    attempts = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        await request(reader)
        writer.write(sized(b"broken", status=b"500 Internal Server Error") if attempts == 1 else sized(PAGE))

    assert fetch(behave, times=2) == [Failure.HTTP, PAGE]


def test_a_redirect_is_not_followed() -> None:
    assert fetch(answering(sized(b"", b"Location: http://127.0.0.1:1/\r\n", b"302 Found"))) == [Failure.HTTP]


def test_an_exporter_that_hangs_costs_its_timeout_and_the_next_scrape_is_fresh() -> None:
    connections = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await request(reader)
        if connections == 1:
            await reader.read()  # until the other side gives up
        writer.write(sized(PAGE))

    began = time.monotonic()
    assert fetch(behave, times=2, timeout=0.3) == [Failure.TIMEOUT, PAGE]
    assert time.monotonic() - began < 2


def test_an_exporter_that_drips_costs_its_timeout_too() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(head(b"Content-Length: 1000000\r\n"))
        while not reader.at_eof():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    assert fetch(behave, timeout=0.3) == [Failure.TIMEOUT]


def test_a_page_cut_off_within_its_announced_length() -> None:
    assert fetch(answering(head(b"Content-Length: 5000\r\n") + PAGE)) == [Failure.BODY]


def test_a_packed_page_cut_off() -> None:
    packed = gzip.compress(PAGE)[:-12]
    assert fetch(answering(sized(packed, b"Content-Encoding: gzip\r\n"))) == [Failure.BODY]


def test_something_else_than_gzip_under_its_name() -> None:
    assert fetch(answering(sized(b"not packed", b"Content-Encoding: gzip\r\n"))) == [Failure.BODY]
    assert fetch(answering(sized(PAGE, b"Content-Encoding: br\r\n"))) == [Failure.BODY]


def test_a_page_without_end_is_stopped_at_the_limit() -> None:
    sent = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await request(reader)
        writer.write(head(b"Content-Length: 2147483648\r\n"))
        while sent < 2 << 30:
            writer.write(b"#" * 65536)
            sent += 65536
            await writer.drain()

    assert fetch(behave, timeout=5) == [Failure.BODY_LIMIT]
    assert sent < 20 * LIMIT


def test_a_bomb_is_stopped_before_it_has_unpacked() -> None:
    bomb = gzip.compress(b"\n" * (200 << 20))
    assert len(bomb) < LIMIT
    tracemalloc.start()
    try:
        assert fetch(answering(sized(bomb, b"Content-Encoding: gzip\r\n")), timeout=10) == [Failure.BODY_LIMIT]
        assert tracemalloc.get_traced_memory()[1] < 8 * LIMIT
    finally:
        tracemalloc.stop()


def test_an_endless_row_of_empty_gzip_members_is_stopped_too() -> None:
    empty = gzip.compress(b"") * 4000
    behave = answering(head(b"Content-Encoding: gzip\r\nConnection: close\r\n"), *[empty] * 40)
    assert fetch(behave, timeout=10) == [Failure.BODY_LIMIT]


def test_what_is_no_http() -> None:
    assert fetch(answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")) == [Failure.PROTOCOL]


@pytest.mark.parametrize(
    ("url", "failure"),
    [
        ("http://127.0.0.1:{free}/metrics", Failure.CONNECT),
        ("http://no-such-host.invalid/metrics", Failure.DNS),
        ("ftp://127.0.0.1/metrics", Failure.PROTOCOL),
    ],
)
def test_nobody_there(url: str, failure: Failure) -> None:
    async def run() -> bytes | Failure:
        fetcher = Fetcher(url.format(free=free_port()), 5.0, LIMIT, TRUST)
        found = await outcome(fetcher)
        await fetcher.close()
        return found

    assert asyncio.run(run()) == failure


def test_a_certificate_that_nobody_signed_or_plain_http_behind_https() -> None:
    async def run() -> bytes | Failure:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(sized(PAGE))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        fetcher = Fetcher(f"https://127.0.0.1:{port}/metrics", 5.0, LIMIT, TRUST)
        found = await outcome(fetcher)
        await fetcher.close()
        server.close()
        return found

    assert asyncio.run(run()) == Failure.TLS
