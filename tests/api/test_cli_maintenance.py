"""`starvc maintenance`: what a person types and sees, against a running server."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import Result

from api import cli_maintenance
from tests.api.conftest import Command

Run = Callable[..., Result]


@pytest.fixture
def run(starvc: Command, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Commands that reach the cloud in this process."""
    monkeypatch.setattr(cli_maintenance._console, "width", 200)
    return lambda *words: starvc("maintenance", *words)


def test_windows_are_added_listed_and_removed(run: Run) -> None:
    weekly = run("add", "backups", "--weekdays", "6,7", "--start", "03:00", "--minutes", "90", "--level", "low")
    assert weekly.exit_code == 0, weekly.output
    once = run("add", "switch", "--from", "2026-03-01 22:00:00", "--to", "2026-03-02 02:00:00", "--host", "host-1")
    assert once.exit_code == 0, once.output
    listed = run("list").output
    assert "days 6,7 at 03:00 Asia/Shanghai for 90 min" in listed
    assert "level low" in listed
    assert "2026-03-01 22:00:00 to 2026-03-02 02:00:00" in listed
    assert "host host-1" in listed
    assert run("remove", once.output.strip()).exit_code == 0
    assert "switch" not in run("list").output


def test_a_refusal_says_what_is_allowed(run: Run) -> None:
    refused = run("add", "endless")
    assert refused.exit_code == 1
    assert "a beginning and an end" in refused.output
    assert run("remove", "window-none").exit_code == 1
