"""`starvc task`: looking at tasks, waiting for them and cancelling them, against a running server."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from api import cli_progress
from tests.api.conftest import Cloud, Command


@pytest.fixture
def task(cloud: Cloud) -> str:
    """Queued: it opens a VM."""
    cloud.connect()
    vpc = cloud.alice.call("POST", "cloudnetwork/vpc/create", {"vpc.name": "front"}).data
    assert isinstance(vpc, dict)
    want = {"vm.tenant.model": "debian-12", "vm.vcpu.num": 1, "vm.memory.mem": 512, "vnic.portgroupid": vpc["vpc.id"]}
    opened = cloud.alice.call("POST", "cloudvm/create", want).data
    assert isinstance(opened, list)
    return str(opened[0]["jobstartid"])


def test_tasks_are_listed_and_shown(starvc: Command, cloud: Cloud, task: str) -> None:
    assert task in starvc("task", "list", "--state", "queued").stdout
    cloud.settle()
    assert starvc("task", "list", "--state", "queued").stdout == "none\n"
    shown = starvc("task", "show", task).stdout
    assert "open VM" in shown
    assert "succeeded" in shown
    row = json.loads(starvc("task", "show", task, "--json").stdout)
    assert json.loads(starvc("task", "list", "--object", row["task.objid"], "--json").stdout) == [row]
    assert starvc("task", "show", "task-absent").exit_code == 1


def test_long_lists_are_read_page_by_page(starvc: Command, cloud: Cloud, task: str) -> None:
    for _ in range(35):
        cloud.settle()
        starvc("vm", "stop" if cloud_runs(cloud) else "start", vm_of(cloud, task))
    listed = json.loads(starvc("task", "list", "--limit", "33", "--json").stdout)
    assert len({row["startid"] for row in listed}) == 33


def vm_of(cloud: Cloud, task: str) -> str:
    rows = cloud.platform.call("POST", "cloudtask/search", {"startid": task}).data
    assert isinstance(rows, list)
    return str(rows[0]["task.objid"])


def cloud_runs(cloud: Cloud) -> bool:
    rows = cloud.alice.call("POST", "cloudvm/search").data
    assert isinstance(rows, list)
    return bool(rows[0]["vm.state"] == "1")


def test_waiting_shows_the_percentage_and_ends_with_the_task(
    starvc: Command, cloud: Cloud, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=150)
    monkeypatch.setattr(cli_progress, "_errors", terminal)
    waited = starvc("task", "wait", task)
    assert waited.exit_code == 0, waited.output
    assert "open VM" in screen.getvalue()
    assert "100%" in screen.getvalue()
    assert "succeeded" in waited.stdout


def test_a_task_that_does_not_succeed_is_the_commands_failure(starvc: Command, task: str) -> None:
    assert starvc("task", "cancel", task).exit_code == 0
    waited = starvc("task", "wait", task)
    assert waited.exit_code == 1
    assert "cancelled" in waited.stderr
    again = starvc("task", "cancel", task)
    assert again.exit_code == 1
    assert "has ended already" in again.stderr


def test_a_state_that_there_is_not_is_refused(starvc: Command) -> None:
    refused = starvc("task", "list", "--state", "done")
    assert refused.exit_code == 1
    assert "succeeded, failed, running" in refused.stderr
