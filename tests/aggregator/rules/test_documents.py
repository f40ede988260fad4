"""What `docs/` says about rules is what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aggregator.rules import catalogue
from aggregator.rules.load import parse_rules
from aggregator.rules.source import Source

DOCS = Path(__file__).parents[3] / "docs"
GUIDE = (DOCS / "rules.md").read_text("utf-8")
REST = "    category: c\n    message: {zh: a, en: b}\n    runbook: r\n"


def test_the_schema_file_is_current() -> None:
    assert (DOCS / "rules.schema.json").read_text("utf-8") == catalogue.schema_json()


def test_the_table_of_shipped_rules_is_current() -> None:
    shown = GUIDE.partition("<!-- shipped rules: generated -->\n")[2].partition("<!-- end -->")[0]
    assert shown == catalogue.table() + "\n"


def test_the_first_example_is_a_rule() -> None:
    example = next(block for block in blocks() if block.startswith("version: 1\nrules:"))
    assert parse_rules("rules.md", example, 10.0)[0].id == "host-cpu"


@pytest.mark.parametrize("line", re.findall(r"^when: \{threshold.*$", GUIDE, re.MULTILINE))
def test_threshold_examples_are_rules(line: str) -> None:
    rule = f'  - id: a\n    kind: host\n{REST}    severity: low\n    raise: {{op: ">", value: 1}}\n    {line}\n'
    assert parse_rules("rules.md", f"version: 1\nrules:\n{rule}", 10.0)


@pytest.mark.parametrize(
    "block", [b for b in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL) if b.startswith("when:\n")]
)
def test_composite_examples_are_rules(block: str) -> None:
    indented = "".join(f"    {line}\n" for line in block.splitlines())
    assert parse_rules("rules.md", f"version: 1\nrules:\n  - id: a\n    kind: host\n{REST}{indented}", 10.0)


def test_yaml_in_the_guide_can_be_read() -> None:
    for block in blocks():
        lines = [block] if "\n  " in block else block.splitlines()
        for text in lines:
            assert Source("rules.md", text).content is not None


def blocks() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
