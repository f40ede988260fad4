"""The declarations against the document, in both directions. `contract.json` holds the document's names and marks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from api.operations.table import SECTIONS
from api.wire.answers import AnswerField
from api.wire.operation import Operation, Table
from api.wire.parameters import Parameter
from core.context import Role

CONTRACT = json.loads(Path(__file__).with_name("contract.json").read_text(encoding="utf-8"))
DOCUMENTED = {(row["method"], row["path"]): row for row in CONTRACT["operations"]}
EXTENSIONS = {(row["method"], row["path"]): row for row in CONTRACT["extensions"]}
TABLE = Table(SECTIONS)
DECLARED = {(operation.method, operation.path): operation for operation in TABLE.operations}

MORE_PARAMETERS = {
    "cloudmonitor/compute/history": {"monitor.starttime", "monitor.endtime"},
    "cloudmonitor/disk/history": {"monitor.starttime", "monitor.endtime"},
    "cloudmonitor/net/history": {"monitor.starttime", "monitor.endtime"},
    "vroute/vpcAdd": {"vroute.id"},
}
MORE_FIELDS = {
    "cloudTenant/create": {"app.token"},
    "cloudTenant/token": {"token.createtime", "token.lastusedtime"},
    "cloudvm/setvncpwd": {"vm.vncpasswd"},
    "cloudvm/vdisk/create/pv": {"ceph.user"},
    "cloudvm/search": {"vm.lock", "vm.hostid"},
    "cloudvm/{vmId}": {"vm.lock", "vm.hostid"},
    "cloudalarm/search": {
        "alarm.acknowledged", "alarm.flapping", "alarm.desc",
        "alarm.latched", "alarm.shelve.endtime", "alarm.suppressedby",
    },
    "cloudalarm/history": {"event.type", "event.level.from", "event.level.to"},
    "cloudslb/realnode/search": {"realnode.healthy"},
}  # fmt: skip
"""What we add to the operations, all of it on purpose."""

WIDER = {("cloudalarm/search", "alarm.obj.type")} | {
    (f"cloudmonitor/{path}", "monitor.obj.type")
    for path in (
        "compute/current",
        "compute/history",
        "disk/history",
        "net/history",
        "everydisk/current",
        "everynet/current",
    )
}
"""Where we take more values than the document names."""

PLATFORM_ONLY = {
    "cloudTenant/create", "cloudTenant/search", "cloudTenant/token", "cloudTenant/{appid}",
    "cloudvm/addVhostModelAndType", "cloudvm/delVhostModelAndType/{id}", "cloudvm/vdisk/create/pv",
    "cloudvm/template/create", "cloudvm/template/{templateid}",
    "resourcequota/search", "resourcequota/modify",
    "cloudhost/search", "cloudhost/register", "cloudhost/{hostid}", "cloudhost/maintenance", "cloudhost/events",
    "cloudalarm/maintenance/create", "cloudalarm/maintenance/search", "cloudalarm/maintenance/{windowid}",
    "cloudaudit/search", "cloudip/pool/create", "cloudip/pool/search", "cloudip/pool/{poolid}",
}  # fmt: skip


def test_every_operation_of_the_document_is_declared_and_nothing_else_but_the_extensions() -> None:
    assert len(DOCUMENTED) == 92
    assert len(EXTENSIONS) == 25
    assert set(DECLARED) == set(DOCUMENTED) | set(EXTENSIONS)


def test_sections_and_extension_marks_are_the_documents() -> None:
    assert {key: operation.section for key, operation in DECLARED.items()} == {
        key: row.get("section", "") for key, row in (DOCUMENTED | EXTENSIONS).items()
    }


def test_every_operation_has_a_title_in_both_languages() -> None:
    for operation in TABLE.operations:
        assert operation.title.zh
        assert operation.title.en.isascii()


def test_operations_stand_in_the_documents_order() -> None:
    sections = [operation.section for operation in TABLE.operations if operation.section]
    assert sections == [row["section"] for row in CONTRACT["operations"]]


def test_platform_operations_are_these() -> None:
    assert {operation.path for operation in TABLE.operations if operation.role is Role.PLATFORM} == PLATFORM_ONLY
    assert {path for (_, path), row in EXTENSIONS.items() if row["role"] == "platform"} <= PLATFORM_ONLY


def _id(operation: Operation) -> str:
    return operation.name


def _expected(operation: Operation) -> dict[str, Any]:
    key = (operation.method, operation.path)
    row: dict[str, Any] = (DOCUMENTED | EXTENSIONS)[key]
    return row


@pytest.mark.parametrize("operation", TABLE.operations, ids=_id)
def test_parameters_are_the_documents(operation: Operation) -> None:
    row = _expected(operation)
    declared = {parameter.name: parameter for parameter in operation.parameters}
    in_path = {operation.path_parameter} - {None}
    expected = {item["name"]: item for item in row["params"]}
    assert set(declared) == set(expected) | in_path | MORE_PARAMETERS.get(operation.path, set())
    assert {name: declared[name].required for name in expected} == {
        name: item["required"] for name, item in expected.items()
    }
    assert all(declared[name].required for name in in_path)
    assert not any(declared[name].required for name in MORE_PARAMETERS.get(operation.path, ()))


@pytest.mark.parametrize("operation", TABLE.operations, ids=_id)
def test_ranges_and_choices_are_the_documents(operation: Operation) -> None:
    declared = {parameter.name: parameter for parameter in operation.parameters}
    for item in _expected(operation)["params"]:
        schema = declared[item["name"]].schema
        if "range" in item:
            assert schema["minimum"] == item["range"]["min"]
            assert schema["maximum"] == item["range"].get("max", schema["maximum"])
        if "enum" in item:
            known, wanted = set(schema["enum"]), set(item["enum"])
            assert known >= wanted if (operation.path, item["name"]) in WIDER else known == wanted


@pytest.mark.parametrize("operation", TABLE.operations, ids=_id)
def test_answers_are_the_documents(operation: Operation) -> None:
    expected = {item["name"] if isinstance(item, dict) else item for item in _expected(operation)["fields"]}
    names = {field.name for field in operation.fields}
    more = set() if operation.method == "DELETE" else MORE_FIELDS.get(operation.path, set())
    assert names == expected | more


def test_no_name_on_the_wire_has_white_space() -> None:
    names = [
        name
        for operation in TABLE.operations
        for name in (*_parameter_names(operation.parameters), *_names(operation.fields))
    ]
    assert names
    assert not [name for name in names if "".join(name.split()).strip("*") != name]


def _parameter_names(parameters: Iterable[Parameter]) -> Iterable[str]:
    for parameter in parameters:
        yield parameter.name
        yield from _parameter_names(parameter.inner)


def _names(fields: Iterable[AnswerField]) -> Iterable[str]:
    for field in fields:
        yield field.name
        yield from _names(field.inner)
