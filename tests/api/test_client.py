"""The client: what it packs, what it takes for an answer, and which method it chooses."""

from __future__ import annotations

import base64

import httpx
import pytest

from api.wire.client import NotAnAnswer, StarVCenter, UnknownOperation, pack, unpack
from api.wire.codec import decode
from tests.api.conftest import PLATFORM_TOKEN, Cloud


def test_what_is_packed_is_read_back() -> None:
    assert decode(pack({"vm.name": "网站", "vm.num": 2})) == {"vm.name": "网站", "vm.num": 2}


@pytest.mark.parametrize("url", ["http://cloud", "http://cloud/", "http://cloud/starvcenter/services/cloudresource/"])
def test_the_address_may_be_the_root_or_the_documents_base_url(cloud: Cloud, url: str) -> None:
    with StarVCenter(url, PLATFORM_TOKEN, transport=cloud.transport) as client:
        assert client("cloudhost/search").total == 2


def test_the_method_is_found_for_a_path(cloud: Cloud) -> None:
    assert cloud.platform.method("cloudTenant/token") == "PUT"
    assert cloud.platform.method("/cloudvm/model/") == "GET"
    assert cloud.platform.method("cloudhost/host-1") == "DELETE"


@pytest.mark.parametrize(("path", "choice"), [("cloudvm/vm-1", "GET, DELETE"), ("nothing", "none")])
def test_a_path_without_one_method_is_refused_with_the_choice(cloud: Cloud, path: str, choice: str) -> None:
    with pytest.raises(UnknownOperation, match=choice):
        cloud.platform(path)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", base64.b64encode(b"[]"), base64.b64encode(b"{}"), base64.b64encode(b"{")]
)
def test_what_is_no_envelope_is_not_an_answer(body: bytes) -> None:
    with pytest.raises(NotAnAnswer, match="HTTP status 502"):
        unpack(502, body)


def test_nobody_there_is_an_http_error() -> None:
    with StarVCenter("http://127.0.0.1:1", "x") as client, pytest.raises(httpx.ConnectError):
        client("cloudvm/search")
