"""Asking hosts directly, over real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from core.hosts.probe import probe
from core.hosts.state import Probe
from tests.support.real import free_port


@contextmanager
def listener(answer: bytes | None) -> Iterator[str]:
    """A page: `answer` to every request; None: connections are accepted by the kernel and nobody speaks."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()
        thread = threading.Thread(target=_serve, args=(server, answer, stop))
        if answer is not None:
            server.settimeout(0.05)
            thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            stop.set()
            if answer is not None:
                thread.join()


def _serve(server: socket.socket, answer: bytes | None, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            peer, _ = server.accept()
        except TimeoutError:
            continue
        with peer:
            peer.recv(4096)
            peer.sendall(answer or b"")


def ask(url: str) -> Probe:
    return probe({"h": [url]}, 0.3)["h"]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 501 Not Implemented\r\n\r\n"])
def test_any_http_answer_is_a_sign_of_life(answer: bytes) -> None:
    with listener(answer) as address:
        assert ask(f"http://{address}/metrics?a=b") is Probe.ANSWERS


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n", b""])
def test_what_speaks_no_http_merely_accepts(answer: bytes) -> None:
    with listener(answer) as address:
        assert ask(f"http://{address}/") is Probe.ACCEPTS
        assert ask(f"https://{address}/") is Probe.ACCEPTS


def test_a_page_that_hangs_merely_accepts() -> None:
    with listener(None) as address:
        assert ask(f"http://{address}/") is Probe.ACCEPTS


def test_a_closed_port_refuses() -> None:
    assert ask(f"http://127.0.0.1:{free_port()}/") is Probe.REFUSED


@pytest.mark.parametrize("url", ["http://name.invalid/", "http://[::1", "http://127.0.0.1:99999/", "http:///metrics"])
def test_what_cannot_be_reached_or_read_is_silent(url: str) -> None:
    assert ask(url) in {Probe.SILENT, Probe.REFUSED}


def test_the_best_answer_of_a_host_counts() -> None:
    closed = f"http://127.0.0.1:{free_port()}/"
    with listener(None) as hung, listener(b"HTTP/1.1 200 OK\r\n\r\n") as fine:
        pages = {"a": [f"http://{hung}/", f"http://{fine}/"], "b": [closed, f"http://{hung}/"], "c": [closed], "d": []}
        assert probe(pages, 0.3) == {
            "a": Probe.ANSWERS, "b": Probe.ACCEPTS, "c": Probe.REFUSED, "d": Probe.SILENT,
        }  # fmt: skip


def test_many_that_hang_are_asked_at_once() -> None:
    with ExitStack() as stack:
        hung = [stack.enter_context(listener(None)) for _ in range(100)]
        began = time.monotonic()
        answers = probe({address: [f"http://{address}/"] for address in hung}, 2)
        assert time.monotonic() - began < 20
    assert set(answers.values()) == {Probe.ACCEPTS}
