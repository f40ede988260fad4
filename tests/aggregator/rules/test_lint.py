"""Advice on rules that are allowed and not wise."""

from __future__ import annotations

import pytest

from aggregator.rules.language import RuleBook
from aggregator.rules.lint import lint
from aggregator.rules.load import parse_rules

HEAD = "    category: c\n    message: {zh: a, en: b}\n    runbook: r\n"
CPU = "    when: {threshold: {field: cpu_rate}}\n    severity: low\n"

CASES = {
    "for shorter than a scrape": (
        CPU + '    raise: {op: ">", value: 5, for: 5s}\n    clear: {value: 3}\n',
        "shorter than a scrape",
    ),
    "clear.for shorter": (
        CPU + '    raise: {op: ">", value: 5}\n    clear: {value: 3, for: 1s}\n',
        "shorter than a scrape",
    ),
    "above the largest value": (CPU + '    raise: {op: ">", value: 100}\n    clear: {value: 3}\n', "never > 100"),
    "below the smallest value": (CPU + '    raise: {op: "<", value: 0}\n    clear: {value: 3}\n', "never < 0"),
    "a part that never holds": (
        (
            "    when: {all: [{threshold: {field: mem_rate}, raise: {op: '>', value: 101}}, {no_data: {for: 1m}}]}\n"
            "    severity: low\n"
        ),
        "never > 101",
    ),
    "lower rung never seen": (
        (
            "    when: {threshold: {field: cpu_rate}}\n    levels:\n"
            '      - {severity: low, raise: {op: ">", value: 90}, clear: {value: 80}}\n'
            '      - {severity: high, raise: {op: ">", value: 85}, clear: {value: 80}}\n'
        ),
        "raises whenever low does",
    ),
    "no hysteresis": (CPU + '    raise: {op: ">", value: 50}\n', "at once"),
    "silence shorter than two scrapes": (
        "    when: {no_data: {for: 15s}}\n    severity: low\n",
        "normal between scrapes",
    ),
    "no value to say": (
        "    when: {no_data: {for: 1m}}\n    severity: low\n    message: {zh: '{value}', en: b}\n",
        "no value to say",
    ),
    "no data twice": ("    when: {no_data: {for: 1m}}\n    severity: low\n    no_data: raise\n", "says the same twice"),
}


def book(*bodies: str) -> RuleBook:
    rules = ""
    for number, body in enumerate(bodies):
        head = HEAD if "message:" not in body else "    category: c\n    runbook: r\n"
        rules += f"  - id: rule-{number}\n    kind: host\n{head}{body}"
    return RuleBook(parse_rules("t.yaml", f"version: 1\nrules:\n{rules}", 10.0), 10.0)


@pytest.mark.parametrize(("body", "said"), CASES.values(), ids=CASES.keys())
def test_advice(body: str, said: str) -> None:
    advice = [str(problem) for problem in lint(book(body))]
    assert len(advice) == 1
    assert said in advice[0]
    assert advice[0].startswith("t.yaml:3: rule rule-0: ")


def test_two_rules_that_say_the_same() -> None:
    body = CPU + '    raise: {op: ">", value: 50}\n    clear: {value: 40}\n'
    assert [problem.problem for problem in lint(book(body, body))] == ["the same condition as rule-0"]


def test_a_ladder_in_time_is_fine() -> None:
    body = "    when: {no_data: {for: 1m}}\n    levels: [{severity: low}, {severity: high, raise: {for: 10m}}]\n"
    assert lint(book(body)) == []
