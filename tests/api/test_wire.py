"""The format itself: what sloppy clients send, what transports break, and what every answer looks like."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY as DEFAULT_REGISTRY
from structlog.testing import capture_logs

from api.operations.table import SECTIONS
from api.serving import BackgroundServer, listen
from api.wire import codec, form
from api.wire.app import BASE, SERVICES
from api.wire.client import unpack
from api.wire.operation import NoSuchMethod, NoSuchPath, Table
from core.errors import Invalid
from core.metrics import REGISTRY
from tests.api.conftest import PLATFORM_TOKEN, Cloud

TABLE = Table(SECTIONS)
HEADERS = {"KEY_TOKEN": PLATFORM_TOKEN}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)
KEYS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P"), exclude_characters="*"), min_size=1)


def _wrapped(text: str) -> str:
    return "\r\n".join(text[start : start + 7] for start in range(0, len(text), 7)) + "\n"


DAMAGE: list[Callable[[str], str]] = [
    lambda text: text,
    lambda text: text.replace("+", " "),
    lambda text: text.rstrip("="),
    lambda text: text.replace("+", "-").replace("/", "_"),
    lambda text: text.replace("+", " ").rstrip("="),
    lambda text: text.replace("+", "-").replace("/", "_").rstrip("="),
    _wrapped,
    quote,
    lambda text: " \r\n" + text,
    lambda text: text + "\r\n" if text.endswith("=") else text + "\n",
]


@given(st.dictionaries(KEYS, JSON, max_size=4), st.sampled_from(DAMAGE))
def test_codec_forgives_the_damage_of_sloppy_clients(value: dict[str, object], damage: Callable[[str], str]) -> None:
    assert codec.decode(damage(codec.encode(value).decode())) == value


@given(st.dictionaries(KEYS, JSON, max_size=4))
def test_answers_are_standard_base64_of_utf8_json(value: dict[str, object]) -> None:
    packed = codec.encode(value)
    assert json.loads(base64.b64decode(packed, validate=True)) == value
    assert b"\n" not in packed
    assert len(packed) % 4 == 0


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_codec_reads_anything_or_refuses_it(noise: bytes) -> None:
    for text in (noise.decode("latin-1"), base64.b64encode(noise).decode()):
        with suppress(Invalid):
            assert isinstance(codec.decode(text), dict)


@pytest.mark.parametrize(
    ("plain", "problem"),
    [
        (b"[]", "not an object"), (b"1", "not an object"), (b"null", "not an object"), (b"{", "not JSON"),
        (b"{'a':1}", "not JSON"), (b'{"a":NaN}', "not JSON"), (b"", ""), (b'{"a":"\xff"}', "not UTF-8"),
        (b'{"a":"\\ud800"}', "not JSON"), (b"[" * 5000, "not JSON"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "too deeply"),
    ],
)  # fmt: skip
def test_what_is_not_an_object_is_refused_clearly(plain: bytes, problem: str) -> None:
    packed = base64.b64encode(plain).decode()
    if not problem:
        assert codec.decode(packed) == {}
        return
    with pytest.raises(Invalid, match=problem):
        codec.decode(packed)


@pytest.mark.parametrize("text", ["%%%", "äöü", "eyJ9=eyJ9", "a", "!", "{}"])
def test_what_is_not_base64_is_refused_clearly(text: str) -> None:
    with pytest.raises(Invalid, match=r"not Base64|not UTF-8|not JSON"):
        codec.decode(text)


@pytest.mark.parametrize(
    ("plain", "value"),
    [
        (b'{" vm.id ":"1"}', {"vm.id": "1"}),
        (b'{"vm.id*":"1"}', {"vm.id": "1"}),
        (b'{"monitor. netcard id":1}', {"monitor.netcardid": 1}),
        (b'{"a":[{" b *":1}]}', {"a": [{"b": 1}]}),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'{"a":1," a ":2}', {"a": 2}),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
    ],
)
def test_keys_are_cleaned_and_the_last_one_wins(plain: bytes, value: dict[str, object]) -> None:
    assert codec.decode(base64.b64encode(plain).decode()) == value


def _post(cloud: Cloud, path: str, **request: Any) -> tuple[httpx.Response, Any]:
    with cloud.http(**HEADERS) as http:
        response = http.post(f"{BASE}/{path}", **request)
    return response, json.loads(base64.b64decode(response.content, validate=True))


PARAMS = base64.b64encode(b'{"page.startnum":"1","page.everypagenum":1}').decode()


@pytest.mark.parametrize(
    "request_",
    [
        {"data": {"KEY_PARAM": PARAMS}},
        {"content": f"KEY_PARAM={PARAMS}", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"content": f"KEY_PARAM={PARAMS}"},
        {"content": f"a=b&KEY_PARAM=eA==&KEY_PARAM={PARAMS}", "headers": {"content-type": "text/plain"}},
        {"files": {"KEY_PARAM": (None, PARAMS)}},
        {"files": {"KEY_PARAM": ("a.txt", PARAMS.encode())}},
    ],
    ids=["urlencoded", "raw", "no content type", "last wins", "multipart", "multipart file"],
)
def test_key_param_comes_in_every_form(cloud: Cloud, request_: dict[str, Any]) -> None:
    response, answer = _post(cloud, "cloudhost/search", **request_)
    assert response.status_code == 200
    assert answer["result"] == "0"
    assert len(answer["data"]) == 1
    assert answer["dataCount"] == 2


@pytest.mark.parametrize("body", [b"", b"KEY_PARAM=", b"KEY_PARAM", b"other=1", b"KEY_PARAM=e30"])
def test_nothing_is_the_empty_object(cloud: Cloud, body: bytes) -> None:
    _, answer = _post(cloud, "cloudhost/search", content=body)
    assert answer["result"] == "0"
    assert len(answer["data"]) == 2


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\xff\xfe", "text/plain"),
        (b"x", "multipart/form-data"),
        (b"x", "multipart/form-data; boundary=b"),
        (b"&".join([b"a=1"] * 200), "application/x-www-form-urlencoded"),
    ],
)
def test_broken_forms_are_refused_clearly(cloud: Cloud, body: bytes, kind: str) -> None:
    response, answer = _post(cloud, "cloudhost/search", content=body, headers={"content-type": kind})
    assert (response.status_code, answer["result"]) == (200, "1")
    assert "form" in answer["resultinfo"] or "表单" in answer["resultinfo"]


def test_key_param_in_the_query_is_not_read(cloud: Cloud) -> None:
    _, answer = _post(cloud, f"cloudhost/search?{urlencode({'KEY_PARAM': PARAMS})}")
    assert len(answer["data"]) == 2


def test_get_and_delete_ignore_bodies(cloud: Cloud) -> None:
    with cloud.http(**HEADERS) as http:
        response = http.request("GET", f"{BASE}/cloudvm/vm-1", content=b"KEY_PARAM=!!!")
    assert unpack(response.status_code, response.content).succeeded


def test_every_answer_has_the_documented_content_type(cloud: Cloud) -> None:
    response, _ = _post(cloud, "cloudhost/search")
    assert response.headers["content-type"] == "text/plain;charset=UTF-8"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "nothing", 404), ("POST", "cloudvm", 404), ("POST", "", 404), ("POST", "cloudvm/search/x", 404),
        ("POST", "CloudVM/search", 404), ("GET", "cloudvm/search", 405), ("PATCH", "cloudvm/search", 405),
        ("OPTIONS", "cloudvm/search", 405), ("POST", "cloudvm/vm-1", 405), ("DELETE", "cloudvm/model", 405),
    ],
)  # fmt: skip
def test_unknown_paths_and_methods_have_envelopes_too(cloud: Cloud, method: str, path: str, status: int) -> None:
    with cloud.http(**HEADERS) as http:
        response = http.request(method, f"{BASE}/{path}")
    assert response.status_code == status
    assert unpack(response.status_code, response.content).result == "1"
    assert ("allow" in response.headers) == (status == 405)


@pytest.mark.parametrize("path", ["/starvcenter", "/starvcenter/nothing", "/starvcenter/services/other"])
def test_paths_beside_the_base_url_are_unknown(cloud: Cloud, path: str) -> None:
    with cloud.http() as http:
        response = http.get(path)
    assert response.status_code == 404
    assert unpack(response.status_code, response.content).result == "1"


def test_literal_paths_win_over_parameters() -> None:
    assert TABLE.find("GET", "cloudvm/model").operation.path == "cloudvm/model"
    found = TABLE.find("GET", "cloudvm/vm-1")
    assert (found.operation.path, found.path_values) == ("cloudvm/{vmId}", {"vmId": "vm-1"})
    with pytest.raises(NoSuchPath):
        TABLE.find("GET", "cloudvm/")
    with pytest.raises(NoSuchMethod):
        TABLE.find("DELETE", "cloudvm/model")


@pytest.mark.parametrize("token", ["", " ", "wrong", "svt_x", PLATFORM_TOKEN + "x"])
def test_bad_tokens_come_before_everything_about_the_parameters(cloud: Cloud, token: str) -> None:
    with cloud.http(KEY_TOKEN=token) as http, capture_logs() as logs:
        response = http.post(f"{BASE}/cloudhost/search", content=b"KEY_PARAM=!!!" + b"x" * 2 * form.BODY_LIMIT)
    answer = unpack(response.status_code, response.content)
    assert (answer.status, answer.result) == (200, "1003")
    assert not [entry for entry in logs if entry["log_level"] in {"warning", "error"}]


def test_no_token_header_at_all(cloud: Cloud) -> None:
    with cloud.http() as http:
        response = http.get(f"{BASE}/cloudvm/vm-1")
    assert unpack(response.status_code, response.content).result == "1003"


def test_a_revoked_token_is_refused_at_once(cloud: Cloud) -> None:
    issued = cloud.platform("cloudTenant/token", {"app.id": cloud.alice_id}).data
    assert isinstance(issued, dict)
    client = cloud.client(issued["app.token"])
    assert client("cloudvm/search").succeeded
    revoke = {"app.id": cloud.alice_id, "token.action": "revoke", "token.id": issued["token.id"]}
    assert cloud.platform("cloudTenant/token", revoke).data == ""
    assert client("cloudvm/search").result == "1003"


def test_the_token_is_looked_at_before_the_role_and_both_before_the_parameters(cloud: Cloud) -> None:
    assert "forbidden" in cloud.alice.call("PUT", "resourcequota/modify").text
    assert cloud.client("wrong").call("PUT", "cloudvm/start").result == "1003"


class Endless:
    """A body that would never end; counts what was taken from it."""

    def __init__(self) -> None:
        self.taken = 0

    async def receive(self) -> dict[str, object]:
        self.taken += 65536
        return {"type": "http.request", "body": b"x" * 65536, "more_body": True}


def test_a_large_body_is_refused_before_it_is_in_memory() -> None:
    body = Endless()
    request = Request({"type": "http", "headers": [], "method": "POST"}, body.receive)  # type: ignore[arg-type]
    with pytest.raises(form.BodyTooLarge):
        asyncio.run(form.key_param(request))
    assert body.taken <= form.BODY_LIMIT + 65536


def test_what_follows_a_refused_body_is_thrown_away_up_to_a_bound() -> None:
    body = Endless()
    request = Request({"type": "http", "headers": [], "method": "POST"}, body.receive)  # type: ignore[arg-type]
    asyncio.run(form.discard(request))
    assert body.taken <= form.DISCARD_LIMIT + 65536


@pytest.fixture
def served(cloud: Cloud) -> Iterator[str]:
    """The app on a real server and a real socket."""
    listener = listen("127.0.0.1", 0)
    server = BackgroundServer("wire", cloud.app, [listener])
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop()


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_two_mebibytes_are_answered_with_413_over_a_real_connection(served: str, declared: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(32):
            yield b"x" * 65536

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(headers=HEADERS, trust_env=False) as http:
            body = b"x" * (2 * form.BODY_LIMIT) if declared else chunks()
            return await http.post(f"http://{served}{BASE}/cloudhost/search", content=body)

    response = asyncio.run(send())
    assert response.status_code == 413
    assert unpack(response.status_code, response.content).result == "1"


def test_a_client_that_leaves_in_the_middle_of_its_body_harms_nobody(served: str) -> None:
    host, port = served.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        head = (
            f"POST {BASE}/cloudhost/search HTTP/1.1",
            "Host: x",
            f"KEY_TOKEN: {PLATFORM_TOKEN}",
            "Content-Length: 999",
        )
        connection.sendall("\r\n".join((*head, "", "K")).encode())
    response = httpx.post(f"http://{served}{BASE}/cloudhost/search", headers=HEADERS, trust_env=False)
    assert unpack(response.status_code, response.content).succeeded


def _count(operation: str, result: str) -> float:
    return REGISTRY.get_sample_value("starvc_api_requests_total", {"operation": operation, "result": result}) or 0.0


def test_requests_are_counted_by_declared_operation_and_result(cloud: Cloud) -> None:
    seen = [
        ("GET cloudvm/{vmId}", "0"),
        ("GET cloudvm/{vmId}", "1"),
        ("unknown", "404"),
        ("GET cloudvm/{vmId}", "1003"),
    ]
    before = [_count(*label) for label in seen]
    cloud.alice.call("GET", "cloudvm/vm-1")
    cloud.alice.call("GET", "cloudvm/vm-3")
    cloud.alice.call("GET", "no/such/path")
    cloud.client("").call("GET", "cloudvm/vm-1")
    assert [_count(*label) for label in seen] == [number + 1 for number in before]
    assert DEFAULT_REGISTRY.get_sample_value("starvc_api_requests_total") is None


LEGACY = (
    "protocal",
    "acessrule",
    "versoin",
    "outter",
    "portgroup",
    "KEY_PARAM",
    "KEY_TOKEN",
    "startnum",
    "netcard",
    "resultinfo",
)


@pytest.mark.parametrize("folder", ["core", "collector", "aggregator"])
def test_the_legacy_spelling_stays_in_the_wire_layer(folder: str) -> None:
    names = {
        name for section in SECTIONS for item in section.operations for name in (*_parameters(item), *_answers(item))
    }
    dotted = {name for name in names if "." in name and not name.endswith(".id")}
    assert len(dotted) > 50
    for file in Path(folder).rglob("*.py"):
        source = file.read_text(encoding="utf-8")
        found = [word for word in LEGACY if word in source] + [name for name in dotted if f'"{name}"' in source]
        assert not found, file


def _parameters(item: Any) -> list[str]:
    return [parameter.name for parameter in item.parameters]


def _answers(item: Any) -> list[str]:
    return [field.name for field in item.fields]


def test_the_service_description_is_public(cloud: Cloud) -> None:
    with cloud.http() as http:
        assert http.get(SERVICES).status_code == 200
