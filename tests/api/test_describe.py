"""The service description: complete, well-formed, and the same in all its forms."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from api.operations.table import SECTIONS
from api.wire.app import BASE, OPENAPI, SERVICES, WADL
from api.wire.describe import openapi
from api.wire.describe.wadl import NAMESPACE
from tests.api.conftest import Cloud

OPERATIONS = [operation for section in SECTIONS for operation in section.operations]


def _get(cloud: Cloud, path: str, **headers: str) -> tuple[str, str]:
    with cloud.http(**headers) as http:
        response = http.get(path)
    assert response.status_code == 200
    return response.text, response.headers["content-type"]


@pytest.mark.parametrize(("language", "other"), [("zh", "en"), ("en", "zh")])
def test_the_page_lists_every_operation_in_both_languages(cloud: Cloud, language: str, other: str) -> None:
    page, kind = _get(cloud, SERVICES, **{"accept-language": language})
    assert kind == "text/html; charset=utf-8"
    for operation in OPERATIONS:
        assert f'<code class="path">{operation.path}</code>' in page
        assert operation.title.zh.replace("&", "&amp;") in page if language == "zh" else operation.title.en in page
    assert f"?lang={other}" in page
    assert _get(cloud, f"{SERVICES}?lang={language}", **{"accept-language": other})[0] == page


def test_the_page_marks_extensions_and_roles(cloud: Cloud) -> None:
    page, _ = _get(cloud, SERVICES, **{"accept-language": "en"})
    assert page.count(">extension</span>") == sum(operation.is_extension for operation in OPERATIONS)
    assert page.count(">platform token</span>") == sum(operation.role == "platform" for operation in OPERATIONS)
    assert "<code>page.everypagenum</code>" in page


def test_the_page_needs_nothing_from_elsewhere(cloud: Cloud) -> None:
    page, _ = _get(cloud, SERVICES)
    assert "src=" not in page
    assert 'rel="stylesheet"' not in page
    assert "https://" not in page


@pytest.mark.parametrize("path", [WADL, f"{SERVICES}?_wadl"])
def test_wadl_has_every_method(cloud: Cloud, path: str) -> None:
    text, _ = _get(cloud, path)
    root = ET.fromstring(text)
    names = {"w": NAMESPACE}
    found = {
        (method.attrib["name"], resource.attrib["path"])
        for resource in root.findall(".//w:resource", names)
        for method in resource.findall("w:method", names)
    }
    assert found == {(operation.method, operation.path) for operation in OPERATIONS}
    resources = root.find("w:resources", names)
    assert resources is not None
    assert resources.attrib["base"] == f"http://cloud{BASE}/"
    identities = [method.attrib["id"] for method in root.findall(".//w:method", names)]
    assert len(set(identities)) == len(identities)


def test_openapi_has_every_operation_with_unique_names(cloud: Cloud) -> None:
    document = json.loads(_get(cloud, OPENAPI)[0])
    found = {
        (method.upper(), path.removeprefix(f"{BASE}/")) for path, item in document["paths"].items() for method in item
    }
    assert found == {(operation.method, operation.path) for operation in OPERATIONS}
    names = [described["operationId"] for item in document["paths"].values() for described in item.values()]
    assert len(set(names)) == len(names)


def test_openapi_describes_the_json_inside_key_param(cloud: Cloud) -> None:
    document = json.loads(_get(cloud, OPENAPI)[0])
    described: Any = document["paths"][f"{BASE}/cloudalarm/search"]["post"]
    schema = described["x-key-param"]
    assert schema["required"] == ["page.startnum", "page.everypagenum"]
    assert schema["properties"]["page.everypagenum"] == {"type": "integer", "minimum": 1, "maximum": 30}
    assert schema["properties"]["alarm.level"]["enum"] == ["low", "medium", "high"]
    assert described["x-answer"]["alarm.content"] == {"type": "string"}
    form = described["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    assert form["required"] == ["KEY_PARAM"]


def test_openapi_references_resolve() -> None:
    document = openapi.describe(SECTIONS, BASE)
    text = json.dumps(document)
    assert "$defs" not in text
    assert text.count('"$ref": "#/components/schemas/Envelope"') == text.count("$ref") > 0
