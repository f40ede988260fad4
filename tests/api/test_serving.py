"""Servers as parts of a process."""

import socket

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from api.serving import BackgroundServer, listen


async def _app(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})


def test_a_server_answers_after_start_and_not_after_stop() -> None:
    server = BackgroundServer("test", _app, [listen("127.0.0.1", 0)])
    server.start()
    url = f"http://127.0.0.1:{server.port}/"
    assert httpx.get(url).text == "here"
    server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_a_port_in_use_is_refused_before_anything_runs() -> None:
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            listen("127.0.0.1", taken.getsockname()[1])


def test_ipv6_addresses_are_addresses_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with listen("::1", 0) as listener:
        assert listener.family is socket.AF_INET6


def test_what_is_accepted_is_not_held_back_by_nagle() -> None:
    """asyncio looks at the protocol that the accepted socket has from its listener."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
