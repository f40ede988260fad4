"""`starvc vm`: from opening to deleting, against a running server."""

from __future__ import annotations

import json

import pytest

from api import cli_progress
from core.drivers.simulated.faults import Action, Deed, Fault
from tests.api.conftest import Cloud, Command

SIZE = ("--cpu", "2", "--memory", "1024")


@pytest.fixture
def network(cloud: Cloud) -> str:
    cloud.connect()
    made = cloud.alice.call("POST", "cloudnetwork/vpc/create", {"vpc.name": "front"}).data
    assert isinstance(made, dict)
    return str(made["vpc.id"])


@pytest.fixture
def vm(starvc: Command, network: str) -> str:
    """It runs."""
    opened = starvc("vm", "open", network, *SIZE, "--model", "debian-12", "--name", "web", "--wait", "--json")
    assert opened.exit_code == 0, opened.output
    return str(json.loads(opened.stdout)[0]["vm.id"])


def test_vms_are_opened_listed_and_shown(starvc: Command, vm: str) -> None:
    listed = starvc("vm", "list", "--name", "WEB", "--state", "running").stdout
    assert listed.splitlines()[0].split() == ["id", "name", "state", "lock", "CPU", "memory", "MB", "address", "host"]
    assert listed.splitlines()[1].split()[:5] == [vm, "web", "running", "2", "1024"]
    assert starvc("vm", "list", "--state", "stopped").stdout == "none\n"
    shown = starvc("vm", "show", vm).stdout
    assert "debian-12" in shown
    assert "vda" in shown
    assert "172.16.0.2" in shown
    as_json = json.loads(starvc("vm", "show", vm, "--json").stdout)
    assert (as_json["vm.id"], len(as_json["disks"]), len(as_json["nics"])) == (vm, 1, 1)


def test_power_and_deletion_follow_each_other(starvc: Command, vm: str) -> None:
    for words in (("restart",), ("stop",), ("start",), ("stop", "--hard"), ("delete", "--yes")):
        done = starvc("vm", words[0], vm, *words[1:], "--wait")
        assert done.exit_code == 0, done.output
    gone = starvc("vm", "show", vm)
    assert gone.exit_code == 1
    assert vm in gone.stderr


def test_the_address_of_a_console_is_all_that_is_printed(starvc: Command, vm: str) -> None:
    told = starvc("vm", "console", vm)
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith("ws://cloud/console/")
    assert len(told.stdout.split()) == 1
    as_json = json.loads(starvc("vm", "console", vm, "--json").stdout)
    assert set(as_json) == {"vm.console.url", "vm.hostip", "vm.vncport"}


def test_one_refusal_does_not_keep_the_others(starvc: Command, vm: str) -> None:
    stopped = starvc("vm", "stop", "vm-absent", vm, "--hard", "--wait")
    assert stopped.exit_code == 1
    assert "vm-absent" in stopped.stderr
    assert vm in starvc("vm", "list", "--state", "stopped").stdout


def test_deleting_asks_first(starvc: Command, cloud: Cloud) -> None:
    asked = starvc("vm", "delete", "vm-1", input="n\n")
    assert asked.exit_code == 1
    assert "Delete vm-1?" in asked.stderr
    assert cloud.platform.call("GET", "cloudvm/vm-1").succeeded


def test_a_task_that_fails_is_the_commands_failure(starvc: Command, cloud: Cloud, vm: str) -> None:
    cloud.world.inject(Fault(Action.FAIL_OPERATION, vm, Deed.STOP))
    failed = starvc("vm", "stop", vm, "--hard", "--wait")
    assert failed.exit_code == 1
    assert f"{vm}: failed: " in failed.stderr
    assert "fail-operation" in failed.stderr


def test_waiting_is_given_up_in_time_and_the_task_goes_on(
    starvc: Command, cloud: Cloud, vm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_progress, "_pause", lambda: None)
    late = starvc("vm", "stop", vm, "--hard", "--wait", "--timeout", "0.01")
    assert late.exit_code == cli_progress.STILL_RUNNING
    assert "not ended after 0.01 s" in late.stderr
    cloud.settle()
    assert vm in starvc("vm", "list", "--state", "stopped").stdout


def test_a_clone_is_opened_from_a_template(starvc: Command, network: str, vm: str) -> None:
    starvc("vm", "stop", vm, "--hard", "--wait")
    assert starvc("template", "add", vm).exit_code == 0
    opened = starvc("vm", "open", network, *SIZE, "--template", vm, "--name", "copy", "--number", "2", "--wait")
    assert opened.exit_code == 0, opened.output
    running = starvc("vm", "list", "--state", "running", "--name", "copy").stdout
    assert "copy-1" in running
    assert "copy-2" in running


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("open", "vpc-absent", *SIZE, "--model", "debian-12"), "vpc-absent"),
        (("open", "vpc-absent", *SIZE), "either a model or a template"),
        (("list", "--state", "asleep"), "there are: stopped, running"),
        (("show", "vm-absent"), "vm-absent"),
    ],
)
def test_a_refusal_says_what_is_allowed(starvc: Command, words: tuple[str, ...], reason: str) -> None:
    refused = starvc("vm", *words)
    assert refused.exit_code == 1
    assert reason in refused.stderr
    assert refused.stdout == ""


@pytest.mark.parametrize("noun", ["tenant", "token", "host", "template", "vm", "task"])
def test_help_has_an_example_of_every_command(starvc: Command, noun: str) -> None:
    shown = starvc(noun, "--help").stdout
    for line in (line for line in shown.splitlines() if line.startswith("│ ") and line[2:3].isalpha()):
        assert f"starvc {noun} {line.split()[1]}" in starvc(noun, line.split()[1], "--help").stdout
