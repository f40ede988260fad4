"""What callers get wrong, over real HTTP: a clear envelope each time, nothing changed, nothing broken."""

from __future__ import annotations

import base64
import socket
from typing import Any

import httpx
import pytest

from api.wire.client import Answer, pack, unpack
from tests.support.product import Product, rows, vm_ids

BASE = "/starvcenter/services/cloudresource"
VMS = f"{BASE}/cloudvm/search"
HOST = {"host.name": "h", "host.ip": "1.2.3.4"}
PAGE = {"page.startnum": 1, "page.everypagenum": 10}
ALARM = {"monitor.obj.type": "vm", "monitor.obj": "vm-sim-00001", "lineType": "minute"}


def send(product: Product, path: str, body: object = None, method: str = "POST", **headers: str) -> Answer:
    """The envelope, whatever the status; `body` as the form or the bytes that it is."""
    given: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"data": body}
    headers = {"KEY_TOKEN": product.platform_token, "accept-language": "en", **headers}
    answer = httpx.request(method, product.url + path, headers=headers, timeout=30, trust_env=False, **given)
    return unpack(answer.status_code, answer.content)


def state_of(product: Product) -> list[object]:
    """All that a call could have changed."""
    searches = ("cloudTenant/search", "cloudhost/search", "cloudvm/search", "cloudalarm/search")
    return [rows(product.platform(path, {"isfindPage": True})) for path in searches]


@pytest.mark.parametrize(
    ("path", "params", "reason"),
    [
        ("cloudTenant/create", {}, "app.name"),
        ("cloudTenant/create", {"app.name": ["x"]}, "app.name"),
        ("cloudTenant/create", {"app.name": "x", "app.cpu.quota": "many"}, "app.cpu.quota"),
        ("cloudTenant/create", {"app.name": "x", "app.cpu.quota": -1}, "app.cpu.quota"),
        ("cloudTenant/create", {"app.name": "x" * 5000}, "app.name"),
        ("cloudTenant/token", {"app.id": "tenant-nobody"}, "tenant-nobody does not exist"),
        ("cloudhost/register", HOST, "host.exporter.url"),
        ("cloudhost/register", {**HOST, "host.ip": "h", "host.exporter.url": "http://h/"}, "host.ip"),
        ("cloudhost/register", {**HOST, "host.exporter.url": "ftp://h"}, "host.exporter.url"),
        ("cloudhost/register", {**HOST, "host.exporter.url": "http://h:x/"}, "host.exporter.url"),
        ("cloudvm/search", {**PAGE, "page.everypagenum": 0}, "page.everypagenum"),
        ("cloudvm/search", {**PAGE, "page.everypagenum": 31}, "page.everypagenum"),
        ("cloudvm/search", {**PAGE, "page.startnum": 0}, "page.startnum"),
        ("cloudvm/search", {"vm.state": "7"}, "vm.state"),
        ("cloudmonitor/compute/current", {"monitor.obj.type": "vm", "monitor.obj": "vm-nobody"}, "vm-nobody"),
        ("cloudmonitor/compute/current", {"monitor.obj.type": "cat", "monitor.obj": "x"}, "monitor.obj.type"),
        ("cloudmonitor/compute/current", {"monitor.obj.type": "vm"}, "monitor.obj"),
        ("cloudmonitor/compute/currents", {"monitor.obj.type": "vm", "monitor.objids": []}, "monitor.objids"),
        ("cloudmonitor/compute/history", {**ALARM, "lineType": "year"}, "lineType"),
        ("cloudmonitor/compute/history", {**ALARM, "monitor.starttime": "yesterday"}, "monitor.starttime"),
        ("cloudalarm/search", {"isfindPage": True, "alarm.level": "extreme"}, "alarm.level"),
        ("cloudalarm/search", {}, "page.startnum"),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_named(product: Product, path: str, params: dict[str, object], reason: str) -> None:
    before = state_of(product)
    answer = product.platform(path, params)
    assert (answer.status, answer.result) == (200, "1")
    assert reason in answer.text
    assert answer.data is None
    assert state_of(product) == before


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("%%%", "Base64"),
        ("\x00\x01", "Base64"),
        (base64.b64encode(b"{not json").decode(), "JSON"),
        (base64.b64encode(b"\xff\xfe\xfd").decode(), "UTF-8"),
        (base64.b64encode(b"[1, 2]").decode(), "JSON object"),
        (base64.b64encode(b'"text"').decode(), "JSON object"),
        (base64.b64encode(b"null").decode(), "JSON object"),
        (base64.b64encode(b"[" * 100_000).decode(), "JSON"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_told_why(product: Product, text: str, reason: str) -> None:
    answer = send(product, VMS, {"KEY_PARAM": text})
    assert (answer.status, answer.result) == (200, "1")
    assert "KEY_PARAM" in answer.text
    assert reason in answer.text


@pytest.mark.parametrize("token", ["", "wrong", "svp_" + "A" * 43, "' OR 1=1 --", "x" * 5000])
def test_no_token_and_wrong_tokens_are_1003(product: Product, token: str) -> None:
    answer = send(product, VMS, {"KEY_PARAM": pack({})}, KEY_TOKEN=token)
    assert (answer.status, answer.result) == (200, "1003")
    assert answer.text


def test_unknown_paths_and_methods_are_told_in_an_envelope(product: Product) -> None:
    unknown = send(product, f"{BASE}/cloudvm/nothing/here")
    assert (unknown.status, unknown.result) == (404, "1")
    assert "no such operation" in unknown.text
    wrong = send(product, VMS, method="PUT")
    assert (wrong.status, wrong.result) == (405, "1")
    assert "POST" in wrong.text


def test_a_body_that_is_too_large_is_refused_and_the_connection_survives(product: Product) -> None:
    headers = {"KEY_TOKEN": product.platform_token, "accept-language": "en"}
    with httpx.Client(base_url=product.url, headers=headers, timeout=30, trust_env=False) as http:
        answer = http.post(VMS, data={"KEY_PARAM": "A" * 2 * 1024 * 1024})
        envelope = unpack(answer.status_code, answer.content)
        assert (envelope.status, envelope.result) == (413, "1")
        assert "1048576" in envelope.text
        assert unpack(200, http.post(VMS, data={"KEY_PARAM": pack({})}).content).succeeded


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST " + VMS.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
        b"POST " + VMS.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["tls", "version", "half-a-body", "negative-length", "long-line"],
)
def test_what_is_no_http_at_all_disturbs_nobody(product: Product, request_bytes: bytes) -> None:
    host, port = product.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1000)
    assert vm_ids(product)


def test_nothing_of_all_this_was_logged_as_an_error(product: Product) -> None:
    for body in ({"KEY_PARAM": "%%%"}, {"KEY_PARAM": pack({"page.startnum": "x"})}, b"\xff" * 10):
        send(product, VMS, body)
    log = product.log.read_text("utf-8", errors="replace")
    assert product.errors() == []
    assert product.platform_token not in log.split("Try:", 1)[1]
