"""`starvc pool`: what a person types and sees, against a running server."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from core.network.outer_rows import NatType, OuterIp
from core.network.router_rows import Router, RouterState
from tests.api.conftest import Cloud, Command

Run = Callable[..., Result]


@pytest.fixture
def run(starvc: Command) -> Run:
    """Commands that reach the cloud in this process."""
    return lambda *words: starvc("pool", *words)


def test_pools_are_added_listed_and_deleted(run: Run) -> None:
    assert "none" in run("list").output
    block = run("add", "192.0.2.0/28", "--gateway", "192.0.2.1")
    assert block.exit_code == 0, block.output
    words = ("203.0.113.10-203.0.113.19", "--gateway", "203.0.113.1", "--netmask", "255.255.255.0")
    span = run("add", *words).output.strip()
    shown = run("list").output
    assert "203.0.113.10" in shown
    assert "255.255.255.240" in shown
    rows = json.loads(run("list", "--json").output)
    assert {(row["pool.id"], row["pool.size"]) for row in rows} == {(block.output.strip(), "13"), (span, "10")}
    assert run("delete", span).exit_code == 0
    assert "203.0.113.10" not in run("list").output


def test_a_refusal_says_what_was_wrong(run: Run) -> None:
    refused = run("add", "192.0.2.9-192.0.2.12", "--gateway", "192.0.2.1")
    assert refused.exit_code == 1
    assert "parameter pool.netmask is missing" in refused.output
    assert run("delete", "pool-none").exit_code == 1


def test_a_pool_in_use_is_kept_and_the_users_are_named(run: Run, cloud: Cloud) -> None:
    pool = run("add", "192.0.2.0/28", "--gateway", "192.0.2.1").output.strip()
    now = cloud.clock.now()
    with cloud.services.database.platform(write=True) as session:
        session.add(
            Router(id="vroute-1", tenant_id=cloud.alice_id, name="edge", state=RouterState.READY, created_at=now)
        )
        session.flush()
        held = {"tenant_id": cloud.alice_id, "router_id": "vroute-1", "use": NatType.PORT, "taken_at": now}
        session.add(OuterIp(ip="192.0.2.5", is_wan=True, **held))
    refused = run("delete", pool)
    assert refused.exit_code == 1
    assert "192.0.2.5 (edge)" in refused.output
