"""The test language itself: what it can tell apart, and how it speaks of mistakes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from aggregator.rules.language import Rule
from aggregator.rules.load import load_files, shipped_files
from aggregator.rules.notation import Mark, points
from aggregator.rules.source import RulesInvalid
from aggregator.rules.testing import load_trials, run
from aggregator.rules.trial import Trial


def values(text: str) -> list[float]:
    return [point.value for point in points(text)]


def test_series_are_written_as_promtool_writes_them() -> None:
    assert values("1+2x3 9-2x2 4x1 7") == [1, 3, 5, 7, 9, 7, 5, 4, 4, 7]
    assert [point.mark for point in points("_x2 errorx2 5 late")] == [
        Mark.MISSING, Mark.MISSING, Mark.ERROR, Mark.ERROR, Mark.SEEN, Mark.LATE,
    ]  # fmt: skip
    assert points("5 late")[1].value == 5
    assert math.isnan(points("reset")[0].value)


@pytest.fixture(scope="module")
def cpu() -> Rule:
    rule = load_files(shipped_files(), 10.0).rule("host-cpu")
    assert rule is not None
    return rule


def trial(*expect: dict[str, str]) -> Trial:
    return Trial.model_validate({"name": "n", "rule": "host-cpu", "series": {"cpu_rate": "90x40"}, "expect": expect})


@pytest.mark.parametrize(
    ("expect", "problem"),
    [
        ([{"at": "300s", "change": "raised", "severity": "medium"}], ""),
        ([], "not expected: 310s raised medium"),
        ([{"at": "200s", "change": "raised"}], "expected 200s raised, came 310s raised medium"),
        ([{"at": "320s", "change": "raised"}], "expected 320s raised, came 310s raised medium"),
        ([{"at": "300s", "change": "rose"}], "expected 300s rose, came 310s raised medium"),
        (
            [{"at": "300s", "change": "raised", "severity": "high"}],
            "expected 300s raised high, came 310s raised medium",
        ),
        ([{"at": "300s", "change": "raised", "says": "memory"}], "expected the text to say 'memory'"),
        ([{"at": "300s", "change": "raised"}, {"at": "400s", "change": "relieved"}], "never came: 400s relieved"),
    ],
)
def test_a_test_fails_for_one_clear_reason(cpu: Rule, expect: list[dict[str, str]], problem: str) -> None:
    said = run(trial(*expect), cpu).problem
    assert said.startswith(problem)
    assert bool(said) == bool(problem)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("series: {cpu_rate: 1y3}", "'1y3' is no token of a series; allowed: 5, 5x3"),
        ("series: {cpu: 1x3}", "series.cpu: unknown series"),
        ("series: {node.cpu: 1x3}", "unknown series"),
        ("series: {}", "neither series nor until"),
        ("series: {cpu_rate: 1}\n    host_state: {5s: asleep}", "'asleep' is unknown"),
        ("series: {cpu_rate: 1}\n    scrape: soon", "no duration"),
    ],
)
def test_mistakes_in_tests_are_named(tmp_path: Path, body: str, said: str) -> None:
    file = tmp_path / "t.yaml"
    file.write_text(f"version: 1\ntests:\n  - name: mine\n    rule: a\n    expect: []\n    {body}\n", "utf-8")
    with pytest.raises(RulesInvalid) as refusal:
        load_trials(file)
    assert said in str(refusal.value)
    assert "t.yaml:" in str(refusal.value)
    assert "rule mine" in str(refusal.value)
