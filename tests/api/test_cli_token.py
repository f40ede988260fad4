"""`starvc token`: what a person types and sees, against a running server."""

from __future__ import annotations

import json

from tests.api.conftest import Cloud, Command


def test_a_token_is_created_listed_and_revoked(starvc: Command, cloud: Cloud) -> None:
    made = starvc("token", "create", cloud.alice_id, "--json")
    assert made.exit_code == 0, made.output
    token = json.loads(made.stdout)
    client = cloud.client(token["app.token"])
    assert client.call("POST", "cloudvm/search").succeeded
    listed = starvc("token", "list", cloud.alice_id).stdout
    assert token["token.id"] in listed
    assert token["app.token"] not in listed
    assert starvc("token", "revoke", cloud.alice_id, token["token.id"]).exit_code == 0
    assert client.call("POST", "cloudvm/search").result == "1003"
    assert token["token.id"] not in starvc("token", "list", cloud.alice_id).stdout


def test_people_are_told_that_it_is_not_shown_again(starvc: Command, cloud: Cloud) -> None:
    made = starvc("token", "create", cloud.alice_id).stdout
    assert "not shown again" in made
    assert cloud.client(made.splitlines()[1].split()[1]).call("POST", "cloudvm/search").succeeded


def test_a_token_of_nobody_is_a_failure(starvc: Command, cloud: Cloud) -> None:
    for words in (("revoke", cloud.alice_id, "token-absent"), ("create", "tenant-absent"), ("list", "tenant-absent")):
        refused = starvc("token", *words)
        assert refused.exit_code == 1
        assert "absent" in refused.stderr
