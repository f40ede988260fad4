"""`starvc tenant`: what a person types and sees, against a running server."""

from __future__ import annotations

import json

from tests.api.conftest import Cloud, Command


def test_a_tenant_is_created_listed_and_shown(starvc: Command, cloud: Cloud) -> None:
    made = starvc("tenant", "create", "shop", "--cpu", "8", "--memory", "4096", "--networks", "2", "--json")
    assert made.exit_code == 0, made.output
    tenant = json.loads(made.stdout)
    listed = starvc("tenant", "list", "--name", "SHOP").stdout
    assert listed.splitlines()[1].split()[:4] == [tenant["app.id"], "shop", "8", "4096"]
    assert len(listed.splitlines()) == 2
    cloud.client(tenant["app.token"]).call("POST", "cloudnetwork/vpc/create", {"vpc.name": "front"})
    shown = starvc("tenant", "show", tenant["app.id"]).stdout
    assert ["networks", "2", "1", "1"] in [line.split() for line in shown.splitlines()]
    assert json.loads(starvc("tenant", "show", tenant["app.id"], "--json").stdout)["quota"]["countCpu"] == 8


def test_its_token_is_shown_once_and_works(starvc: Command, cloud: Cloud) -> None:
    made = starvc("tenant", "create", "shop").stdout
    token = made.splitlines()[1].split()[1]
    assert "not shown again" in made
    assert cloud.client(token).call("POST", "cloudvm/search").succeeded


def test_names_that_look_like_markup_are_shown_as_they_are(starvc: Command) -> None:
    starvc("tenant", "create", "[red]shop[/red]")
    assert "[red]shop[/red]" in starvc("tenant", "list").stdout


def test_an_unknown_tenant_is_a_failure(starvc: Command) -> None:
    shown = starvc("tenant", "show", "tenant-absent")
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "there is no tenant tenant-absent" in shown.stderr


def test_a_quota_below_nothing_is_a_wrong_command(starvc: Command) -> None:
    assert starvc("tenant", "create", "shop", "--cpu", "-1").exit_code == 2


def test_a_tenants_token_may_not(starvc: Command, cloud: Cloud) -> None:
    token = json.loads(starvc("token", "create", cloud.alice_id, "--json").stdout)["app.token"]
    refused = starvc("tenant", "list", "--token", token)
    assert refused.exit_code == 1
    assert "platform token" in refused.stderr
