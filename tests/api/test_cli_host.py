"""`starvc host`: what a person types and sees, against a running server."""

from __future__ import annotations

import json

from tests.api.conftest import Command


def test_hosts_are_listed_and_shown_with_their_vms(starvc: Command) -> None:
    listed = starvc("host", "list").stdout
    assert "host-1" in listed
    assert "host-2" in listed
    shown = starvc("host", "show", "host-1").stdout
    assert "10.0.0.1" in shown
    assert "vm-3" in shown
    as_json = json.loads(starvc("host", "show", "host-1", "--json").stdout)
    assert {vm["vm.id"] for vm in as_json["vms"]} == {"vm-1", "vm-2", "vm-3"}
    assert as_json["events"] == []


def test_a_host_is_registered_and_taken_out_of_service_and_back(starvc: Command) -> None:
    made = starvc("host", "register", "node7", "10.0.0.7", "http://10.0.0.7:9100/metrics", "--desc", "rack 3")
    assert made.exit_code == 0, made.output
    host = made.stdout.strip()
    assert "rack 3" in starvc("host", "show", host).stdout
    assert starvc("host", "maintenance", host, "on", "--desc", "new disks").exit_code == 0
    shown = starvc("host", "show", host).stdout
    assert "maintenance, not connected" in shown
    assert "new disks" in shown
    assert starvc("host", "maintenance", host, "off").exit_code == 0
    assert "maintenance" not in starvc("host", "show", host).stdout


def test_a_refusal_says_what_is_allowed(starvc: Command) -> None:
    for words, reason in (
        (("register", "n", "nowhere", "http://10.0.0.9:9100/metrics"), "an IPv4 or IPv6 address"),
        (("show", "host-absent"), "there is no host host-absent"),
        (("maintenance", "host-absent", "on"), "host-absent"),
    ):
        refused = starvc("host", *words)
        assert refused.exit_code == 1
        assert reason in refused.stderr
    assert starvc("host", "maintenance", "host-1", "maybe").exit_code == 2
