"""WADL (W3C submission, 31 August 2009) from the declarations, for clients that are generated from it."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from api.wire.codec import PARAMETER
from api.wire.envelope import MEDIA_TYPE
from api.wire.frame import TOKEN
from api.wire.operation import Operation, Section

NAMESPACE = "http://wadl.dev.java.net/2009/02"


def describe(sections: Sequence[Section], base: str) -> bytes:
    """`base` is the absolute base URL."""
    application = ET.Element("application", {"xmlns": NAMESPACE})
    resources = ET.SubElement(application, "resources", {"base": base})
    by_path: dict[str, ET.Element] = {}
    for section in sections:
        for operation in section.operations:
            if operation.path not in by_path:
                by_path[operation.path] = _resource(resources, operation)
            _method(by_path[operation.path], operation)
    ET.indent(application)
    document: bytes = ET.tostring(application, encoding="utf-8", xml_declaration=True)
    return document


def _resource(resources: ET.Element, operation: Operation) -> ET.Element:
    resource = ET.SubElement(resources, "resource", {"path": operation.path})
    if operation.path_parameter:
        ET.SubElement(resource, "param", {"name": operation.path_parameter, "style": "template", "required": "true"})
    return resource


def _method(resource: ET.Element, operation: Operation) -> None:
    identity = f"{operation.method.lower()}-{operation.path}".replace("/", "-").translate({123: None, 125: None})
    method = ET.SubElement(resource, "method", {"name": operation.method, "id": identity})
    _doc(method, operation.title.zh, "zh")
    _doc(method, operation.title.en, "en")
    request = ET.SubElement(method, "request")
    ET.SubElement(request, "param", {"name": TOKEN, "style": "header", "required": "true"})
    if operation.has_body:
        form = ET.SubElement(request, "representation", {"mediaType": "application/x-www-form-urlencoded"})
        field = ET.SubElement(form, "param", {"name": PARAMETER, "style": "query"})
        for parameter in operation.parameters:
            mark = " *" if parameter.required else ""
            _doc(field, f"{parameter.name}{mark}: {parameter.allowed.en}", "en")
    answer = ET.SubElement(method, "response", {"status": "200"})
    ET.SubElement(answer, "representation", {"mediaType": MEDIA_TYPE})


def _doc(parent: ET.Element, text: str, language: str) -> None:
    ET.SubElement(parent, "doc", {"xml:lang": language, "title": text})
