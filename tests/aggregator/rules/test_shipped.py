"""The shipped rules: every one fires when it must, and does not when it must not."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import pytest

from aggregator.rules.durations import parse
from aggregator.rules.language import RuleBook
from aggregator.rules.lint import lint
from aggregator.rules.load import SHIPPED, load_files, shipped_files
from aggregator.rules.testing import load_trials, play, run
from aggregator.rules.trial import Trial

TRIALS = [trial for file in sorted((SHIPPED / "tests").glob("*.yaml")) for trial in load_trials(file)]


@cache
def book(scrape: float) -> RuleBook:
    return load_files(shipped_files(), scrape)


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: f"{trial.rule}: {trial.name}")
def test_as_its_test_says(trial: Trial) -> None:
    rule = book(parse(trial.scrape).seconds).rule(trial.rule)
    assert rule is not None
    assert run(trial, rule).problem == ""


def test_every_rule_must_fire_once_and_must_not_fire_once() -> None:
    fires: dict[str, set[bool]] = defaultdict(set)
    for trial in TRIALS:
        fires[trial.rule].add(bool(trial.expect))
    assert {rule.id for rule in book(10.0).rules if fires[rule.id] != {True, False}} == set()
    assert len(book(10.0).rules) >= 25


@pytest.mark.parametrize("scrape", [0.2, 1.0, 10.0, 30.0])
def test_no_rule_needs_advice(scrape: float) -> None:
    assert [str(advice) for advice in lint(book(scrape))] == []


@pytest.mark.parametrize("scrape", [0.2, 1.0, 10.0, 60.0])
def test_an_unreachable_host_is_found_in_three_scrapes_whatever_the_interval(scrape: float) -> None:
    trial = Trial.model_validate({
        "name": "crash", "rule": "host-unreachable", "scrape": f"{scrape}s", "evaluate": f"{scrape / 2}s", "expect": [],
        "series": {"cpu_rate": "20x10 stale", "node.up": "1x10 0x10", "libvirt.up": "1x10 0x10"},
        "host_state": {f"{12.5 * scrape}s": "fault_detecting"},
    })  # fmt: skip
    rule = book(scrape).rule("host-unreachable")
    assert rule is not None
    (raised,) = play(trial, rule)
    last_good = 10 * scrape
    assert raised.at - last_good <= 3 * scrape
