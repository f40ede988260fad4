"""Rule files into a rule book. Everything wrong with them is reported at once, with file, rule and field."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as FilePath

from aggregator.rules.language import Rule, RuleBook
from aggregator.rules.meaning import Reader
from aggregator.rules.schema import RuleFile
from aggregator.rules.shape import shaped
from aggregator.rules.source import Problem, RulesInvalid, Source

SHIPPED = FilePath(__file__).parent / "shipped"


def shipped_files() -> tuple[FilePath, ...]:
    return tuple(sorted(SHIPPED.glob("*.yaml")))


def files_in_force(chosen: FilePath | None) -> tuple[FilePath, ...]:
    """The file that somebody chose, alone; without one, those that are shipped."""
    return (chosen,) if chosen is not None else shipped_files()


def load_files(files: Sequence[FilePath], scrape_interval: float) -> RuleBook:
    """Raises RulesInvalid with every problem of every file."""
    problems: list[Problem] = []
    rules: list[Rule] = []
    for file in files:
        try:
            rules.extend(parse_rules(file.name, file.read_text("utf-8"), scrape_interval))
        except RulesInvalid as refusal:
            problems.extend(refusal.problems)
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(str(file), 1, "", "", f"cannot be read: {error}", "a readable UTF-8 file"))
    problems.extend(_repeated(rules))
    if problems:
        raise RulesInvalid(problems)
    return RuleBook(tuple(rules), scrape_interval)


def parse_rules(file: str, text: str, scrape_interval: float) -> tuple[Rule, ...]:
    """The rules of one document. Raises RulesInvalid."""
    source = Source(file, text)
    parsed = shaped(source, RuleFile)
    problems: list[Problem] = []
    rules: list[Rule] = []
    for position, spec in enumerate(parsed.rules):
        reader = Reader(source, ("rules", position), spec, scrape_interval)
        rule = reader.rule()
        problems.extend(reader.problems)
        if rule is not None:
            rules.append(rule)
    if problems:
        raise RulesInvalid(problems)
    return tuple(rules)


def _repeated(rules: Sequence[Rule]) -> list[Problem]:
    first: dict[str, Rule] = {}
    problems = []
    for rule in rules:
        other = first.setdefault(rule.id, rule)
        if other is not rule:
            taken = f"already used in {other.source}"
            problems.append(Problem(rule.source, rule.line, rule.id, "id", taken, "an id of its own"))
    return problems
