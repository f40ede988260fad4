"""Rule files that are wrong: each mistake is named with its file, line, rule, field, and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from aggregator.rules.durations import Duration, parse
from aggregator.rules.language import Rule, TroubleIn
from aggregator.rules.load import load_files, parse_rules
from aggregator.rules.source import Problem, RulesInvalid
from aggregator.rules.troubles import Trouble
from core.alarms.finding import FlapPolicy, NoDataPolicy, Relief, Severity

REST = "    category: cpu\n    message: {zh: a, en: b}\n    runbook: c\n"
CPU = "    when: {threshold: {field: cpu_rate}}\n"
HIGH = '    severity: high\n    raise: {op: ">", value: 90}\n'


def read(body: str, head: str = "  - id: mine\n    kind: host\n", rest: str = REST) -> None:
    parse_rules("my.yaml", f"version: 1\nrules:\n{head}{rest}{body}", 10.0)


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(RulesInvalid) as refusal:
        parse_rules("my.yaml", text, 10.0)
    return refusal.value.problems


WRONG = {
    "unknown field": ("    when: {threshold: {field: cpu}}\n" + HIGH, "when.threshold.field", "cpu_rate, cpu_num"),
    "unknown summand": ("    when: {threshold: {field: net_up + nett}}\n" + HIGH, "when.threshold.field", "net_down"),
    "unknown whole": (
        "    when: {threshold: {field: mem_used, percent_of: x}}\n" + HIGH,
        "when.threshold.percent_of",
        "mem_",
    ),
    "unknown key": (
        "    when: {threshold: {feld: a, field: cpu_rate}}\n" + HIGH,
        "when.threshold.feld",
        "field, percent_of",
    ),
    "two conditions": (
        "    when: {threshold: {field: cpu_rate}, no_data: {for: 1m}}\n" + HIGH,
        "when",
        "exactly one of",
    ),
    "no condition": ("    when: {}\n" + HIGH, "when", "exactly one of"),
    "unknown operator": (CPU + '    severity: high\n    raise: {op: "=>", value: 1}\n', "raise.op", "'>='"),
    "op without value": (CPU + '    severity: high\n    raise: {op: ">"}\n', "raise", "both or neither"),
    "no limit": (CPU + "    severity: high\n", "raise", "{op, value, for}"),
    "text as limit": (CPU + '    severity: high\n    raise: {op: ">", value: lots}\n', "raise.value", "a number"),
    "duration as limit": (CPU + '    severity: high\n    raise: {op: ">", value: 5m}\n', "raise.value", "a number"),
    "for without unit": (CPU + '    severity: high\n    raise: {op: ">", value: 1, for: 30}\n', "raise.for", "30s, 5m"),
    "for in no unit": (CPU + '    severity: high\n    raise: {op: ">", value: 1, for: 3w}\n', "raise.for", "30s, 5m"),
    "clear above raise": (CPU + HIGH + "    clear: {value: 95}\n", "clear.value", "at most 90"),
    "neither levels nor severity": (CPU, "", "either levels"),
    "levels and severity": (CPU + HIGH + "    levels: [{severity: low}]\n", "", "either levels"),
    "levels fall": (
        CPU + '    levels:\n    - {severity: high, raise: {op: ">", value: 1}}\n'
        '    - {severity: low, raise: {op: ">", value: 2}}\n',
        "levels.1.severity",
        "above high",
    ),
    "levels of two directions": (
        CPU + '    levels:\n    - {severity: low, raise: {op: ">", value: 1}}\n'
        '    - {severity: high, raise: {op: "<", value: 2}}\n',
        "levels.1.raise.op",
        ">",
    ),
    "limits without a measure": ("    when: {no_data: {for: 1m}}\n" + HIGH, "raise", "only for"),
    "two take the limits": (
        "    when: {any: [{threshold: {field: net_up}}, {threshold: {field: net_down}}]}\n" + HIGH,
        "when",
        "one; raise",
    ),
    "forecast alone": (
        (
            "    when: {forecast: {field: disk_used, reaches: disk_size, window: 6h}}\n"
            '    severity: low\n    raise: {op: "<", value: 4h}\n'
        ),
        "when.forecast",
        "with the level",
    ),
    "forecast in any": (
        (
            '    when: {any: [{threshold: {field: mem_rate}, raise: {op: ">", value: 1}}, '
            "{forecast: {field: disk_used, reaches: disk_size, window: 6h}}]}\n"
            '    severity: low\n    raise: {op: "<", value: 4h}\n'
        ),
        "when.any.1.forecast",
        "with the level",
    ),
    "change too short": (
        '    when: {change: {field: cpu_num, window: 30s}}\n    severity: low\n    raise: {op: "<", value: 0}\n',
        "when.change.window",
        "at least 2m",
    ),
    "host in no VM": ("    when: {vm_state: {in: [running]}}\n    severity: low\n", "when.vm_state", "kind vm"),
    "unknown state": (
        "    when: {host_state: {in: [asleep]}}\n    severity: low\n",
        "when.host_state.in.0",
        "ha_detecting",
    ),
    "measure of others": (
        "    when: {threshold: {kind: target, field: up}}\n" + HIGH,
        "when",
        "beside it",
    ),
    "limits of the outermost": (
        '    when: {threshold: {field: cpu_rate}, raise: {op: ">", value: 1}}\n' + HIGH,
        "when.raise",
        "inside any or all",
    ),
    "override of two": (
        CPU + HIGH + "    overrides: [{match: {vm: a, host: b}, disabled: true}]\n",
        "overrides.0.match",
        "exactly one of",
    ),
    "override of nothing": (CPU + HIGH + "    overrides: [{match: {vm: a}}]\n", "overrides.0", "either disabled"),
    "override of another level": (
        CPU + HIGH + "    overrides: [{match: {vm: a}, levels: {low: {raise: 3}}}]\n",
        "overrides.0.levels.low",
        "high",
    ),
    "override on the wrong side": (
        CPU + HIGH + "    overrides: [{match: {vm: a}, levels: {high: {raise: 80, clear: 85}}}]\n",
        "overrides.0.levels.high.clear",
        "at most 80",
    ),
}


@pytest.mark.parametrize(("body", "field", "allowed"), WRONG.values(), ids=WRONG.keys())
def test_a_mistake_is_named_with_what_is_allowed(body: str, field: str, allowed: str) -> None:
    with pytest.raises(RulesInvalid) as refusal:
        read(body)
    problem = next(problem for problem in refusal.value.problems if problem.field == field)
    assert allowed in problem.allowed
    assert (problem.file, problem.rule) == ("my.yaml", "mine")
    assert problem.line >= 3
    assert f"my.yaml:{problem.line}: rule mine: " in str(refusal.value)


def test_an_unknown_placeholder_is_refused() -> None:
    with pytest.raises(RulesInvalid, match=r"message.zh: \{who\} is unknown; allowed: \{object\}"):
        read(CPU + HIGH, rest='    category: c\n    message: {zh: "{who}", en: b}\n    runbook: c\n')


def test_all_mistakes_come_at_once() -> None:
    text = f"version: 1\nrules:\n  - id: a\n    kind: hosts\n{REST}{CPU}{HIGH}  - id: b\n    kind: host\n{REST}{HIGH}"
    assert [(problem.rule, problem.field) for problem in problems(text)] == [("a", "kind"), ("b", "when")]


def test_text_that_is_no_yaml_is_refused_with_its_line() -> None:
    (problem,) = problems("version: 1\nrules:\n  - {op: >, id: a}\n")
    assert problem.line == 3
    assert "quoted" in problem.allowed


def test_a_key_given_twice_is_refused() -> None:
    (problem,) = problems("version: 1\nversion: 1\nrules: []\n")
    assert (problem.line, problem.problem) == (2, "given twice")


@pytest.mark.parametrize("text", ["", "[]", "rules", "version: 1\nrules: []\n", "version: 2\nrules: 3\n"])
def test_documents_of_another_shape_are_refused(text: str) -> None:
    assert problems(text)


def test_one_id_in_two_files_is_refused(tmp_path: Path) -> None:
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for file in files:
        file.write_text(f"version: 1\nrules:\n  - id: same\n    kind: host\n{REST}{CPU}{HIGH}", "utf-8")
    with pytest.raises(RulesInvalid, match=r"b\.yaml:3: rule same: id: already used in a\.yaml"):
        load_files(files, 10.0)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RulesInvalid, match=r"none.yaml.*cannot be read"):
        load_files([tmp_path / "none.yaml"], 10.0)


def test_scrapes_are_resolved_for_the_interval() -> None:
    body = (
        f'  - id: a\n    kind: host\n{REST}{CPU}    severity: low\n    raise: {{op: ">", value: 1, for: 2 scrapes}}\n'
    )
    for interval in (0.2, 10.0):
        (rule,) = parse_rules("my.yaml", f"version: 1\nrules:\n{body}", interval)
        assert rule.steps[0].raise_for == 2 * interval
        assert rule.steps[0].severity is Severity.LOW


def test_defaults_are_the_careful_ones() -> None:
    (rule,) = parse_rules("my.yaml", f"version: 1\nrules:\n  - id: a\n    kind: host\n{REST}{CPU}{HIGH}", 10.0)
    assert (rule.no_data, rule.relief) == (NoDataPolicy.KEEP, Relief.AUTO)
    assert rule.steps[0].band is not None
    assert rule.steps[0].band.clear_at == 90


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30s", Duration(30)), ("5m", Duration(300)), ("1.5h", Duration(5400)), ("1d", Duration(86400)),
     ("2 scrapes", Duration(scrapes=2)), ("1 scrape", Duration(scrapes=1)), ("200ms", Duration(0.2))],
)  # fmt: skip
def test_durations(text: str, expected: Duration) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["5", "m", "-5m", "5 weeks", "", "1h30m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="allowed: a number and one of"):
        parse(text)


def one(text: str) -> Rule:
    (rule,) = parse_rules("my.yaml", f"version: 1\nrules:\n  - id: a\n{REST}{text}", 10.0)
    return rule


def test_flapping_is_the_rules_own_or_the_usual_one() -> None:
    own = "    flapping: {begin: 4, end: 1, half_life: 3 scrapes}\n"
    assert one(f"    kind: host\n{CPU}{HIGH}{own}").policy(5.0).flap == FlapPolicy(4.0, 1.0, 30.0)
    assert one(f"    kind: host\n{CPU}{HIGH}").policy(5.0).flap == FlapPolicy()
    with pytest.raises(RulesInvalid, match=r"end 4 is not below begin 4.*less than 4"):
        one(f"    kind: host\n{CPU}{HIGH}    flapping: {{begin: 4, end: 4}}\n")


def test_troubles_befall_what_they_can_befall() -> None:
    trouble = "    when: {{trouble: {{in: [{}]}}}}\n    severity: low\n"
    assert one("    kind: platform\n" + trouble.format("own_link_lost")).condition == TroubleIn(
        frozenset({Trouble.OWN_LINK_LOST})
    )
    with pytest.raises(RulesInvalid, match=r"own_link_lost does not befall a host.*fencing_failed, vms_stranded"):
        one("    kind: host\n" + trouble.format("own_link_lost"))
    with pytest.raises(RulesInvalid, match=r"does not befall a vm.*rules of kind platform or host"):
        one("    kind: vm\n" + trouble.format("vms_stranded"))
    with pytest.raises(RulesInvalid, match=r"platform has no field 'cpu_rate'"):
        one(f"    kind: platform\n{CPU}{HIGH}")
