"""What callers are told when they are wrong, and what they are not told when we are."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import CoreSchema
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from api.operations.table import SECTIONS
from api.wire import chinese, messages, shapes
from api.wire.app import create_wire
from api.wire.client import StarVCenter
from api.wire.languages import Language, Text, preferred
from api.wire.messages import PROBLEMS, BadParameters, explain
from api.wire.operation import Operation, Section
from api.wire.words import Words
from core.compute import locks
from core.context import Context
from core.errors import Conflict, Fault, Forbidden, Invalid, NotFound, QuotaExceeded, Unauthorised
from core.tenancy import quotas
from core.timeseries.store import StoreUnavailable
from core.zone import zone
from tests.api.conftest import PLATFORM_TOKEN, Cloud, InProcess
from tests.support.refusals import Refusal, refusals

READING = [operation for section in SECTIONS for operation in section.operations if operation.validator]

BY_SCHEMA: dict[str, set[str]] = {
    "int": {
        "int_type", "int_parsing", "int_parsing_size", "int_from_float",
        "greater_than", "greater_than_equal", "less_than", "less_than_equal",
    },
    "float": {"float_type", "float_parsing", "finite_number", "greater_than_equal", "less_than_equal"},
    "str": {"string_type", "string_unicode", "string_too_short", "string_too_long"},
    "tuple": {"tuple_type", "too_short", "too_long"},
    "model": {"model_type", "model_attributes_type"},
    "model-fields": {"missing", "model_attributes_type"},
    "function-plain": {"boolean", "time", "choice"},
    "function-before": {"control_characters", "not_number"},
    "any": set(),
    "nullable": set(),
    "default": set(),
    "model-field": set(),
    "function-after": {"predicate_failed"},
    "definitions": set(),
    "definition-ref": set(),
}  # fmt: skip
"""The error types of pydantic's validators that our shapes are made of, ours included."""


def _schemas(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if isinstance(node.get("type"), str):
            yield node
        for key, value in node.items():
            if key not in {"metadata", "serialization", "ref", "cls", "function", "default"}:
                yield from _schemas(value)
    if isinstance(node, list | tuple):
        for item in node:
            yield from _schemas(item)


@pytest.mark.parametrize("operation", READING, ids=lambda operation: operation.name)
def test_every_error_that_a_shape_can_produce_has_its_texts(operation: Operation) -> None:
    assert operation.validator
    schema: CoreSchema = operation.validator.__pydantic_core_schema__
    kinds = {node["type"] for node in _schemas(schema)}
    assert kinds
    assert kinds <= set(BY_SCHEMA), "a new kind of validator: which errors does it produce?"
    assert {error for kind in kinds for error in BY_SCHEMA[kind]} <= set(PROBLEMS)


NASTY = [
    True, False, 0, -1, 31, 10**30, 1.5, "", " ", "x", "-", "1.5", "1e999", "9" * 5000, "a" * 2000, "\x00", "\x1b",
    [], ["a"], [[]], {}, {"a": 1}, [None], ["x"] * 1500, "2026-13-01 00:00:00", "9999-12-31 23:59:59",
    "0001-01-01 00:00:00", 1e300, -0.0,
]  # fmt: skip


@pytest.mark.parametrize("operation", READING, ids=lambda operation: operation.name)
@pytest.mark.parametrize("language", list(Language))
def test_nasty_values_are_taken_or_refused_by_name(operation: Operation, language: Language) -> None:
    assert operation.validator
    for parameter in operation.parameters:
        for value in NASTY:
            try:
                shapes.read(operation.validator, {parameter.name: value}, zone("Asia/Shanghai"))
            except BadParameters as fault:
                named = [problem for problem in fault.problems if problem.name.startswith(parameter.name)]
                for problem in named:
                    text = explain(BadParameters((problem,)), Words(), language)
                    assert parameter.name in text
                    assert "input" not in text.lower(), "pydantic's own words"
                    assert problem.allowed.of(language) in text


def test_texts_are_in_both_languages() -> None:
    for text in PROBLEMS.values():
        assert text.en.isascii()
        assert not text.zh.isascii()


def test_passwords_are_not_shown_again() -> None:
    for code in ("string_too_long", "string_type", "control_characters", "predicate_failed"):
        fault = BadParameters((messages.Problem("vm.vncpasswd", code, "hunter2", Text("文本", "text")),))
        assert "hunter2" not in explain(fault, Words(), Language.EN)


def _modules() -> set[Path]:
    runs = {Path(inspect.getfile(sys.modules[operation.run.__module__])) for operation in READING}
    return runs | {
        Path(inspect.getfile(messages)).parent,
        Path("core/paging.py").resolve(),
        *(Path(folder).resolve() for folder in ("core/monitoring", "core/compute", "core/network", "core/tasks")),
    }


def test_every_refusal_of_the_domain_has_its_chinese() -> None:
    found = [refusal for place in _modules() for refusal in refusals(place)]
    known = chinese.NOUNS.keys() | chinese.CATALOGUE.keys()
    assert len(found) > 20
    assert [refusal for refusal in found if refusal.text not in known and not _named_elsewhere(refusal)] == []


def _named_elsewhere(refusal: Refusal) -> bool:
    """Resources and units of quotas stand in a table; lists of words are their own translation."""
    return refusal.text is None and any(place in refusal.place for place in ("quotas.py", "alarms/maintenance.py"))


def test_resources_of_quotas_and_locks_have_their_chinese() -> None:
    resources = [text for counter in quotas.COUNTERS.values() for text in (counter.resource, counter.unit)]
    for text in (*resources, *locks.REASONS.values()):
        assert text in chinese.NOUNS or text in chinese.CATALOGUE


@pytest.mark.parametrize(
    ("fault", "zh", "en"),
    [
        (Invalid("start", "is missing", "both paging parameters or neither"),
         "参数 page.startnum 缺失；允许：两个分页参数同时提供或都不提供 [invalid]",
         "parameter page.startnum is missing; allowed: both paging parameters or neither"),
        (Unauthorised("the token is unknown"), "认证失败：令牌无效 [unauthorised]",
         "authentication failed: the token is unknown"),
        (Forbidden("this operation needs a platform token"), "没有权限：此接口需要平台令牌 [forbidden]",
         "forbidden: this operation needs a platform token"),
        (NotFound("VM", "vm-1"), "云主机 vm-1 不存在 [not_found]", "VM vm-1 does not exist"),
        (Conflict("host", "h", "VMs are on it: a, b"), "主机 h：其上有云主机：a, b [conflict]",
         "host h: VMs are on it: a, b"),
        (QuotaExceeded("CPU", 4, 1, "cores"), "CPU配额不足：需要 4 核，剩余 1 核 [quota_exceeded]",
         "quota of CPU exceeded: 4 cores wanted, 1 left"),
    ],
)  # fmt: skip
def test_faults_speak_both_languages(fault: Fault, zh: str, en: str) -> None:
    words = Words({"name": "vm.name"})
    assert explain(fault, words, Language.ZH) == zh
    assert explain(fault, words, Language.EN) == en


def test_a_field_is_named_as_the_caller_spelt_it() -> None:
    words = Words({"address": "host.ip"})
    assert "host.ip" in explain(Invalid("address", "is missing", "x"), words, Language.EN)


def test_chinese_keeps_the_parts_that_vary_even_when_they_look_like_places() -> None:
    assert chinese.translate("VMs are on it: {0}, {}") == "其上有云主机：{0}, {}"


def test_long_keys_are_cut() -> None:
    assert len(explain(NotFound("VM", "x" * 5000), Words(), Language.EN)) < 120


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, Language.ZH), ("", Language.ZH), ("*", Language.ZH), ("fr", Language.ZH), ("en", Language.EN),
        ("en-GB,en;q=0.9", Language.EN), ("en;q=0.5, zh-CN;q=0.9", Language.ZH), ("zh;q=0.1,en;q=0.2", Language.EN),
        ("en;q=0", Language.ZH), ("en;q=x", Language.ZH), ("EN-us;Q=1", Language.EN), (";;;,,", Language.ZH),
    ],
)  # fmt: skip
def test_language_follows_the_header(header: str | None, language: Language) -> None:
    assert preferred(header) is language


BAD = [
    ("cloudhost/search", {"page.startnum": 1, "page.everypagenum": 0}, "page.everypagenum"),
    ("cloudhost/search", {"page.startnum": 1, "page.everypagenum": 31}, "page.everypagenum"),
    ("cloudhost/search", {"page.startnum": 0, "page.everypagenum": 1}, "page.startnum"),
    ("cloudhost/search", {"page.startnum": 1}, "page.everypagenum"),
    ("cloudhost/search", {"page.everypagenum": 1}, "page.startnum"),
    ("cloudalarm/search", {}, "page.startnum"),
    ("cloudalarm/search", {"isfindPage": "perhaps"}, "isfindPage"),
    ("cloudalarm/search", {"isfindPage": True, "alarm.level": "worst"}, "alarm.level"),
    ("cloudalarm/search", {"isfindPage": True, "alarm.starttime": "yesterday"}, "alarm.starttime"),
    ("cloudvm/search", {"vm.state": 9}, "vm.state"),
    ("cloudTenant/create", {}, "app.name"),
    ("cloudTenant/create", {"app.name": "x", "app.cpu.quota": True}, "app.cpu.quota"),
    ("cloudTenant/create", {"app.name": "x", "app.cpu.quota": -1}, "app.cpu.quota"),
    ("cloudTenant/create", {"app.name": "x", "app.cpu.quota": 1.5}, "app.cpu.quota"),
    ("cloudTenant/create", {"app.name": ["x"]}, "app.name"),
    ("cloudTenant/create", {"app.name": "x" * 129}, "app.name"),
    ("cloudTenant/create", {"app.name": "a\x00b"}, "app.name"),
    ("cloudmonitor/compute/current", {"monitor.obj.type": "vm"}, "monitor.obj"),
    ("cloudmonitor/compute/current", {"monitor.obj.type": "disk", "monitor.obj": "x"}, "monitor.obj.type"),
    ("cloudmonitor/compute/currents", {"monitor.obj.type": "vm", "monitor.objids": []}, "monitor.objids"),
    ("cloudmonitor/compute/currents", {"monitor.obj.type": "vm", "monitor.objids": ["x"] * 1001}, "monitor.objids"),
    ("cloudmonitor/compute/currents", {"monitor.obj.type": "vm", "monitor.objids": {"a": 1}}, "monitor.objids"),
    ("cloudhost/register", {"host.name": "h", "host.ip": "x", "host.exporter.url": "http://h:1/"}, "host.ip"),
    ("cloudhost/register", {"host.name": "h", "host.ip": "1.1.1.1", "host.exporter.url": "ftp://h"},
     "host.exporter.url"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "params", "named"), BAD)
def test_bad_parameters_are_refused_by_name_and_nothing_is_logged_or_changed(
    cloud: Cloud, path: str, params: dict[str, object], named: str
) -> None:
    before = cloud.platform("cloudTenant/search").total, cloud.platform("cloudhost/search").total
    with capture_logs() as logs:
        answer = cloud.platform(path, params)
    assert (answer.status, answer.result) == (200, "1")
    assert f"参数 {named}" in answer.text
    assert "允许：" in answer.text
    assert not [entry for entry in logs if entry["log_level"] in {"warning", "error", "critical"}]
    assert (cloud.platform("cloudTenant/search").total, cloud.platform("cloudhost/search").total) == before


def test_the_same_in_english(cloud: Cloud) -> None:
    answer = cloud.client(PLATFORM_TOKEN, "en")("cloudhost/search", {"page.startnum": 1, "page.everypagenum": 31})
    assert answer.text == "parameter page.everypagenum is out of range, got 31; allowed: an integer from 1 to 30"


def _broken(run: Callable[..., object]) -> Section:
    return Section("9", Text("坏", "Broken"), (Operation("POST", "broken", "9.1", Text("坏", "Broken"), run),))


def _call(cloud: Cloud, run: Callable[..., object]) -> tuple[StarVCenter, list[Any], Any]:
    app = create_wire(cloud.services, [_broken(run)])
    client = StarVCenter("http://cloud", PLATFORM_TOKEN, transport=InProcess(app, cloud.transport._portal))
    with capture_logs() as logs:
        answer = client.call("POST", "broken", {"secret.word": "hunter2"})
    return client, logs, answer


def test_our_own_mistake_is_an_incident_without_internals(cloud: Cloud) -> None:
    def run(_at: Context) -> None:
        raise RuntimeError("the table user_secrets is gone")

    _, logs, answer = _call(cloud, run)
    assert (answer.status, answer.result) == (500, "1")
    assert "user_secrets" not in answer.text
    (entry,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert entry["incident"] in answer.text
    assert "user_secrets" in entry["trace"]
    assert PLATFORM_TOKEN not in str(logs)
    assert "hunter2" not in str(logs)


def test_a_store_that_is_down_is_said_without_an_error(cloud: Cloud) -> None:
    def run(_at: Context) -> None:
        raise StoreUnavailable("connection refused")

    _, logs, answer = _call(cloud, run)
    assert (answer.status, answer.result) == (200, "1")
    assert "store_unavailable" in answer.text
    assert not [entry for entry in logs if entry["log_level"] == "error"]


def test_a_database_that_is_away_is_said_without_an_error(cloud: Cloud) -> None:
    def run(_at: Context) -> None:
        raise OperationalError("SELECT", None, Exception("connection to server at 10.0.0.5 failed"))

    _, logs, answer = _call(cloud, run)
    assert (answer.status, answer.result) == (503, "1")
    assert "database_unavailable" in answer.text
    assert "10.0.0.5" not in answer.text
    assert not [entry for entry in logs if entry["log_level"] == "error"]
