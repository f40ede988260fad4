"""`starvc rules`: check, test and replay rule files, and ask why an alarm is or is not there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from api.cli_server import fail, settings_in_force

if TYPE_CHECKING:
    from aggregator.rules.language import RuleBook
    from aggregator.rules.replay import Tally
    from aggregator.rules.source import Problem
    from aggregator.rules.testing import Verdict
    from aggregator.rules.trial import Trial
    from api.wire.frame import Services
    from core.settings import Settings

rules_app = typer.Typer(no_args_is_help=True, help="Check, test, replay and explain alarm rules.")
_console = Console()
_MINUTE = 60.0

File = Annotated[Path | None, typer.Argument(help="Rule file; default: the rules in force.")]
Scrape = Annotated[str, typer.Option("--scrape", help="Scrape interval, as in 10s.")]


@rules_app.command()
def check(file: File = None, scrape: Scrape = "") -> None:
    """Say what is wrong in a rule file, and what is allowed and still not wise."""
    from aggregator.rules.lint import lint

    settings = settings_in_force()
    book = _book(settings, file, _seconds(scrape) if scrape else settings.scrape_interval)
    advice = lint(book)
    if advice:
        _console.print(_problems("advice", advice))
        raise typer.Exit(1)
    _console.print(f"{len(book.rules)} rules: nothing to say", style="green")


@rules_app.command("test")
def run_tests(
    file: Annotated[Path | None, typer.Argument(help="Test file; default: the tests of the shipped rules.")] = None,
    rules: Annotated[Path | None, typer.Option("--rules", help="Rule file; default: the rules in force.")] = None,
) -> None:
    """Run rule tests on a virtual clock: which transitions come, when, and which must not."""
    from aggregator.rules.load import SHIPPED
    from aggregator.rules.source import RulesInvalid
    from aggregator.rules.testing import load_trials

    files = [file] if file is not None else sorted((SHIPPED / "tests").glob("*.yaml"))
    try:
        trials = [trial for one in files for trial in load_trials(one)]
    except (RulesInvalid, OSError) as problem:
        fail(str(problem))
    verdicts = list(_run_all(trials, settings_in_force(), rules))
    failed = [verdict for verdict in verdicts if verdict.problem]
    table = Table("rule", "test", "problem", title=f"{len(verdicts) - len(failed)} of {len(verdicts)} tests pass")
    for verdict in failed:
        table.add_row(verdict.rule, verdict.test, verdict.problem, style="red")
    _console.print(table if failed else table.title)
    if failed:
        raise typer.Exit(1)


@rules_app.command()
def replay(
    file: File = None,
    since: Annotated[str, typer.Option(help="How far back, as in 7d; minute lines must reach that far.")] = "7d",
) -> None:
    """Run rules over the stored history: how often they would have fired, and flapped."""
    from aggregator.rules.reading import read_inventory
    from aggregator.rules.replay import replay as run
    from core.timeseries.store import StoreUnavailable

    settings, now = settings_in_force(), time.time()
    book = _book(settings, file, _MINUTE)
    start = now - _seconds(since)
    with _beside_the_server(settings) as services, _progress("minutes") as progress:
        with services.database.platform() as session:
            inventory = read_inventory(session)
        minutes = round((now - start) / _MINUTE)
        task = progress.add_task("replay", total=minutes)

        def advance(done: float) -> None:
            progress.update(task, completed=round(done * minutes))

        try:
            tallies = run(book, services.store, inventory, start, now, advance)
        except StoreUnavailable as problem:
            fail(f"the time-series store does not answer: {problem}")
    _console.print(_tallies(tallies, since))


@rules_app.command()
def explain(
    rule: Annotated[str, typer.Argument(help="Rule id.")], target: Annotated[str, typer.Argument(help="Object id.")]
) -> None:
    """Evaluate one rule on one object as things stand now, and say why."""
    from api.explain import evaluated_now
    from core.errors import NotFound

    settings = settings_in_force()
    book = _book(settings, None, settings.scrape_interval)
    if book.rule(rule) is None:
        fail(f"no rule {rule}; known: {', '.join(one.id for one in book.rules)}")
    with _beside_the_server(settings) as services:
        try:
            newest = evaluated_now(services, book, rule, target)[0]
        except NotFound as problem:
            fail(str(problem))
    table = Table("level", "verdict", title=newest.why)
    for severity, verdict in newest.verdicts:
        table.add_row(severity.name.lower(), str(verdict))
    _console.print(table)


def _seconds(text: str) -> float:
    from aggregator.rules.durations import parse

    try:
        return parse(text).seconds
    except ValueError as problem:
        fail(str(problem))


def _book(settings: Settings, file: Path | None, scrape_interval: float) -> RuleBook:
    from aggregator.rules.load import files_in_force, load_files
    from aggregator.rules.source import RulesInvalid

    try:
        return load_files(files_in_force(file or settings.rules_file), scrape_interval)
    except RulesInvalid as refusal:
        _console.print(_problems("problem", refusal.problems))
        raise typer.Exit(1) from refusal


def _problems(title: str, problems: Sequence[Problem]) -> Table:
    table = Table("where", "rule", "field", title, "allowed" if title == "problem" else "better")
    for one in problems:
        table.add_row(f"{one.file}:{one.line}", one.rule, one.field, one.problem, one.allowed)
    return table


def _run_all(trials: Sequence[Trial], settings: Settings, rules: Path | None) -> Iterator[Verdict]:
    from aggregator.rules.testing import run

    books = {scrape: _book(settings, rules, _seconds(scrape)) for scrape in {trial.scrape for trial in trials}}
    with _progress("tests") as progress:
        task = progress.add_task("test", total=len(trials))
        for trial in trials:
            rule = books[trial.scrape].rule(trial.rule)
            if rule is None:
                fail(f"test {trial.name!r}: no rule {trial.rule}")
            yield run(trial, rule)
            progress.advance(task)


def _tallies(tallies: Sequence[Tally], since: str) -> Table:
    table = Table("rule", "fired", "flaps", "open at the end", "mostly on", title=f"the last {since}, in minutes")
    for tally in sorted(tallies, key=lambda tally: -tally.raised):
        worst = max(tally.objects.items(), key=lambda item: item[1], default=("", 0))
        mostly = f"{worst[0]} ({worst[1]}x)" if worst[1] else ""
        table.add_row(tally.rule_id, str(tally.raised), str(tally.flaps), str(tally.open_at_end), mostly)
    return table


def _progress(noun: str) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(noun),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)


@contextmanager
def _beside_the_server(settings: Settings) -> Iterator[Services]:
    """The state and the series of a product that may be running, for reading."""
    from api.parts import SERIES_FOLDER
    from api.wire.frame import Services
    from core.clock import SystemClock
    from core.db.engine import open_database
    from core.timeseries.opening import is_served, open_store
    from core.timeseries.store import StoreUnavailable

    folder = settings.data_dir / SERIES_FOLDER
    if not is_served(settings) and not folder.exists():
        fail(f"{folder} does not exist: start `starvc up` first, or set STARVC_DATA_DIR or STARVC_STORE")
    try:
        store = open_store(settings, folder, SystemClock(), writable=False)
    except (ValueError, StoreUnavailable) as problem:
        fail(str(problem))
    with closing(store), closing(open_database(settings)) as database:
        yield Services(database, store, SystemClock(), settings)
