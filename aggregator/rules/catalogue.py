"""The shipped rules as a table, and the schema as a file: what `docs/` holds is generated here."""

from __future__ import annotations

import json
from collections.abc import Iterator

from aggregator.rules import durations, schema
from aggregator.rules.language import Rule, RuleBook
from aggregator.rules.load import load_files, shipped_files
from aggregator.rules.text import Wording, describe

SCRAPE_INTERVAL = 10.0
"""The table shows durations in scrapes for this interval."""


def schema_json() -> str:
    return json.dumps(schema.json_schema(), indent=2, ensure_ascii=False) + "\n"


def table() -> str:
    """The shipped rules in Markdown, by file."""
    return "\n".join(_lines(load_files(shipped_files(), SCRAPE_INTERVAL)))


def _lines(book: RuleBook) -> Iterator[str]:
    source = ""
    for rule in book.rules:
        if rule.source != source:
            source = rule.source
            yield from ("", f"### {source.removesuffix('.yaml')}", "", "| rule | watches | raises | runbook |")
            yield "|---|---|---|---|"
        yield f"| `{rule.id}` | {rule.kind}: {describe(rule.condition)} | {_levels(rule)} | {rule.runbook} |"


def _levels(rule: Rule) -> str:
    wording = Wording(rule)
    parts = []
    for step in rule.steps:
        limit = f" {step.band.op} {wording.value(step.band.raise_at)}{wording.unit}" if step.band else ""
        held = f" for {durations.spell(step.raise_for)}" if step.raise_for else ""
        parts.append(f"{step.severity.name.lower()}{limit}{held}".replace("|", "\\|"))
    return ", ".join(parts) + ("; manual relief" if rule.relief == "manual" else "")
