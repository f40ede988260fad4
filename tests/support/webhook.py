"""A real HTTP receiver for tests: it answers as its script says, and remembers what it got."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Receiver:
    """Each request is answered by the next of `script`, and with 200 when that is used up. None: not at all."""

    script: list[Answer | None] = field(default_factory=list)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    @property
    def keys(self) -> list[str]:
        return [key for _, key, _ in self.requests]

    def once(self) -> list[str]:
        """What a receiver knows that drops the keys it has seen: `object change severity`."""
        seen = {key: body for _, key, body in self.requests}
        return [f"{body['object_id']} {body['change']} {body['severity']}" for body in seen.values()]


@contextmanager
def receiver(*script: Answer | None) -> Iterator[Receiver]:
    state = Receiver(list(script))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            state.requests.append((self.path, self.headers.get("Idempotency-Key", ""), json.loads(content)))
            answer = state.script.pop(0) if state.script else Answer()
            if answer is None:
                state.ended.wait(10)
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
