"""OpenAPI 3.1 from the declarations. KEY_PARAM is described twice: as the form field that it is, and, under
`x-key-param`, by the schema of the JSON inside it; answers likewise under `x-answer`."""

from __future__ import annotations

from collections.abc import Sequence

from api.wire.answers import AnswerField
from api.wire.codec import PARAMETER
from api.wire.envelope import MEDIA_TYPE
from api.wire.form import BODY_LIMIT
from api.wire.frame import TOKEN
from api.wire.operation import Operation, Section
from api.wire.parameters import Parameter
from core import __version__
from core.context import Role

Json = dict[str, object]

_BASE64 = {"type": "string", "contentEncoding": "base64", "contentMediaType": "application/json"}
_ENVELOPE: Json = {
    "type": "object",
    "required": ["result"],
    "properties": {
        "result": {"type": "string", "enum": ["0", "1", "1003"]},
        "data": {},
        "resultinfo": {"type": "string"},
        "startid": {"type": "string"},
        "dataCount": {"type": "integer"},
    },
}


def describe(sections: Sequence[Section], base: str) -> Json:
    """The OpenAPI document of all operations below the path `base`."""
    paths: dict[str, Json] = {}
    for section in sections:
        for operation in section.operations:
            paths.setdefault(f"{base}/{operation.path}", {})[operation.method.lower()] = _operation(section, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "starvc",
            "version": __version__,
            "description": "Operations in the StarVCenter wire format: Base64 of UTF-8 JSON, both ways.",
        },
        "tags": [{"name": section.title.en, "description": section.title.zh} for section in sections],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": TOKEN}},
            "schemas": {"Envelope": _ENVELOPE},
        },
        "security": [{"token": []}],
    }


def _operation(section: Section, operation: Operation) -> Json:
    described: Json = {
        "operationId": f"{operation.method.lower()}_{operation.path}".replace("/", "_").translate(
            {123: None, 125: None}
        ),
        "summary": operation.title.en,
        "description": operation.title.zh,
        "tags": [section.title.en],
        "x-section": operation.section,
        "x-extension": operation.is_extension,
        "x-role": "platform" if operation.role is Role.PLATFORM else "tenant, platform",
        "x-answer": _answer(operation.fields),
        "responses": _responses(),
    }
    if name := operation.path_parameter:
        described["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "maxLength": 64}}
        ]
    if operation.has_body:
        described["x-key-param"] = _object(operation.parameters)
        described["requestBody"] = _body(operation)
    return described


def _body(operation: Operation) -> Json:
    required = any(parameter.required for parameter in operation.parameters)
    schema = {"type": "object", "properties": {PARAMETER: _BASE64}, "required": [PARAMETER] if required else []}
    forms = ("application/x-www-form-urlencoded", "multipart/form-data")
    return {"required": required, "content": {form: {"schema": schema} for form in forms}}


def _object(parameters: Sequence[Parameter]) -> Json:
    properties = {parameter.name: _schema(parameter) for parameter in parameters}
    required = [parameter.name for parameter in parameters if parameter.required]
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _schema(parameter: Parameter) -> Json:
    plain = {key: value for key, value in parameter.schema.items() if key not in {"items", "properties", "required"}}
    if parameter.schema.get("type") == "array":
        return {**plain, "items": _object(parameter.inner) if parameter.inner else parameter.schema["items"]}
    return {**plain, **_object(parameter.inner)} if parameter.inner else plain


def _answer(fields: Sequence[AnswerField]) -> Json:
    return {field.name: _answer(field.inner) if field.inner else {"type": "string"} for field in fields}


def _responses() -> Json:
    content = {MEDIA_TYPE: {"schema": {**_BASE64, "contentSchema": {"$ref": "#/components/schemas/Envelope"}}}}
    texts = {
        "200": "Success, failure (result 1) or a bad token (result 1003).",
        "404": "There is no such path.",
        "405": "The path does not take this method.",
        "413": f"The body is over {BODY_LIMIT} bytes.",
        "500": "An internal error, with an incident id.",
        "503": "The database is not available now.",
    }
    return {status: {"description": text, "content": content} for status, text in texts.items()}
