"""`starvc notify`: is the file of receivers right, and do they hear us?"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from aggregator.notify.config import Notifications, load, notifier
from aggregator.notify.port import Delivered, Letter
from aggregator.rules.source import RulesInvalid
from api.cli_server import fail
from api.settings import SettingsError
from api.settings import load as load_settings
from core.alarms.announcement import Announcement
from core.alarms.finding import Severity
from core.alarms.machine import Change
from core.alarms.rows import ReliefWay
from core.timeseries.fields import Kind
from core.zone import zone

notify_app = typer.Typer(no_args_is_help=True, help="Notifications: receivers and routes.")

File = Annotated[Path | None, typer.Option(help="File of receivers and routes; default: the setting notify_file.")]

_console = Console()


@notify_app.command()
def check(file: File = None) -> None:
    """Read the file, and say what is wrong with it or whom it names."""
    found = _load(file)
    _console.print(f"{len(found.receivers)} receivers, {len(found.routes)} routes: fine")


@notify_app.command("test")
def send_test(
    receiver: Annotated[str | None, typer.Argument(help="Name of a receiver; default: each of them.")] = None,
    file: File = None,
) -> None:
    """Send a test alarm and its relief now, past routes and outbox. Exit code 1 when a receiver did not take them."""
    found = _load(file)
    names = list(found.receivers) if receiver is None else [receiver]
    if unknown := [name for name in names if name not in found.receivers]:
        fail(f"{unknown[0]} is not a receiver; there are: {', '.join(found.receivers) or 'none'}")
    failed = 0
    for name in names:
        problem = _send(found, name)
        failed += problem is not None
        _console.print(f"{name}: {problem or 'delivered'}", markup=False)
    if failed:
        raise typer.Exit(1)


def _send(found: Notifications, name: str) -> str | None:
    """What went wrong, or None. A relief follows, so that the test alarm stays open nowhere."""
    now, alarm = datetime.now(UTC), f"alarm-test-{secrets.token_hex(6)}"
    raised = Announcement(
        alarm_id=alarm, number=1, change=Change.RAISED, at=now, severity=Severity.LOW, severity_before=None,
        rule_id="notification-test", category="test", labels={}, object_kind=Kind.HOST, object_id="host-test",
        object_name="test", tenant_id=None, host_id="host-test", vm_id=None, created_at=now,
        content={"zh": "这是一条测试告警，无需处理。", "en": "This is a test alarm. Nothing is wrong."},
    )  # fmt: skip
    relieved = replace(
        raised,
        number=2,
        change=Change.RELIEVED,
        severity_before=Severity.LOW,
        relieved_at=now,
        relieve_way=ReliefWay.AUTO,
    )
    channel = notifier(found.receivers[name], zone(load_settings().timezone))
    try:
        for said in (raised, relieved):
            (outcome,) = channel.send([Letter(f"{alarm}/{said.number}/{name}", said)])
            if not isinstance(outcome, Delivered):
                return outcome.reason
    finally:
        channel.close()
    return None


def _load(file: Path | None) -> Notifications:
    try:
        chosen = file or load_settings().notify_file
        if chosen is None:
            fail("no file: give --file, or set notify_file (STARVC_NOTIFY_FILE)")
        return load(chosen)
    except (RulesInvalid, SettingsError) as problem:
        fail(str(problem))
