"""A server in front of a real one that answers some requests itself: what a busy server says cannot be provoked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx


@dataclass
class Proxy:
    """`answers`: status and headers of the next answers to POSTs whose path ends with `path`; each is given once, then
    requests pass through."""

    url: str
    path: str
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    passed: int = 0


@contextmanager
def proxy(behind: str, path: str) -> Iterator[Proxy]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            concerned = self.command == "POST" and self.path.partition("?")[0].endswith(path)
            if concerned and state.answers:
                self._answer(*state.answers.pop(0), b"busy")
                return
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            found = client.request(self.command, behind + self.path, content=body, headers=headers)
            state.passed += concerned
            self._answer(found.status_code, {"Content-Type": found.headers.get("Content-Type", "")}, found.content)

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if status != 204:
                self.wfile.write(body)

        do_GET = do_POST = _pass

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
            """Quiet."""

    client = httpx.Client(timeout=30)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = Proxy(f"http://127.0.0.1:{server.server_address[1]}", path)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        client.close()
