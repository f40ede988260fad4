"""Lists of targets: where they come from, and what changed."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import orjson
import pytest

from collector.targets import FileSource, HttpSource, SourceUnavailable, changes
from core.hosts.targets import Exporter, Target, as_file_sd
from tests.support.real import free_port

A = Target("a/node", "a", Exporter.NODE, "http://a:9100/metrics")
B = Target("b/libvirt", "b", Exporter.LIBVIRT, "http://b:9177/metrics", {"u1": "vm-1"})


def test_only_what_changed_is_told() -> None:
    moved = Target("a/node", "a", Exporter.NODE, "http://a:9200/metrics")
    relabelled = Target("b/libvirt", "b", Exporter.LIBVIRT, B.url, {"u1": "vm-1", "u2": "vm-2"})
    new = Target("c/node", "c", Exporter.NODE, "http://c:9100/metrics")
    assert changes({A.id: A, B.id: B}, [A, B]) == changes({}, [])
    change = changes({A.id: A, B.id: B}, [moved, relabelled, new])
    assert (change.moved, change.relabelled, change.added, change.removed) == ((moved,), (relabelled,), (new,), ())
    assert changes({A.id: A, B.id: B}, [B]).removed == ("a/node",)


def test_a_file_gives_the_targets_and_its_faults_are_told(tmp_path: Path) -> None:
    path = tmp_path / "targets.json"
    path.write_bytes(orjson.dumps(as_file_sd([A, B])))
    assert FileSource(path).targets() == (A, B)
    for broken in (b"", b"{", b"{}", b'[{"targets": "a"}]', b'[{"targets": ["a:1"], "labels": {"host_id": 1}}]'):
        path.write_bytes(broken)
        with pytest.raises(SourceUnavailable, match="targets"):
            FileSource(path).targets()
    with pytest.raises(SourceUnavailable, match="No such file"):
        FileSource(tmp_path / "absent").targets()


def test_the_same_document_over_http() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = orjson.dumps(as_file_sd([A, B]))
            self.send_response(200 if self.path == "/sd" else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        assert HttpSource(f"{base}/sd").targets() == (A, B)
        with pytest.raises(SourceUnavailable, match="503"):
            HttpSource(f"{base}/elsewhere").targets()
        server.shutdown()
    with pytest.raises(SourceUnavailable):
        HttpSource(f"http://127.0.0.1:{free_port()}/sd").targets()
