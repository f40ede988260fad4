"""`starvc rules`: what a person sees."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli_rules import rules_app

GOOD = (
    "version: 1\nrules:\n  - id: busy\n    kind: host\n    category: c\n    message: {zh: a, en: b}\n    runbook: r\n"
    "    when: {threshold: {field: cpu_rate}}\n    severity: low\n"
    '    raise: {op: ">", value: 50}\n    clear: {value: 40}\n'
)
TESTS = (
    "version: 1\ntests:\n  - name: fires\n    rule: busy\n    series: {cpu_rate: 20x2 90x2}\n"
    "    expect: [{at: 30s, change: raised}]\n"
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(rules_app, [str(argument) for argument in arguments])


def test_the_shipped_rules_need_no_advice(run) -> None:
    result = run("check")
    assert result.exit_code == 0
    assert "rules: nothing to say" in result.output


def test_a_mistake_is_shown_with_its_place(run, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(GOOD.replace("cpu_rate", "cpu"), "utf-8")
    result = run("check", "r.yaml")
    assert result.exit_code == 1
    assert "r.yaml:8" in result.output
    assert "busy" in result.output
    assert "when.threshold.field" in result.output


def test_advice_is_shown_and_fails_the_check(run, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(GOOD.replace("value: 50", "value: 50, for: 1s"), "utf-8")
    result = run("check", "r.yaml")
    assert result.exit_code == 1
    assert "shorter than a scrape" in result.output
    assert run("check", "r.yaml", "--scrape", "1s").exit_code == 0


def test_tests_pass_or_say_why_not(run, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(GOOD, "utf-8")
    (tmp_path / "t.yaml").write_text(TESTS, "utf-8")
    passed = run("test", "t.yaml", "--rules", "r.yaml")
    assert passed.exit_code == 0, passed.output
    assert "1 of 1 tests pass" in passed.output
    (tmp_path / "t.yaml").write_text(TESTS.replace("at: 30s", "at: 10s"), "utf-8")
    failed = run("test", "t.yaml", "--rules", "r.yaml")
    assert failed.exit_code == 1
    assert "came 30s raised" in failed.output


def test_replay_without_data_says_what_to_do(run) -> None:
    result = run("replay", "--since", "1h")
    assert result.exit_code == 1
    assert "starvc up" in result.output


def test_an_unknown_rule_is_refused_with_those_known(run) -> None:
    result = run("explain", "nothing", "h1")
    assert result.exit_code == 1
    assert "host-cpu" in result.output
