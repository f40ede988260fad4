"""Tokens: who holds one, until when, and what the platform's token does at a start."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from core.context import Caller, Role
from core.db.engine import Database
from core.errors import Invalid, NotFound, Unauthorised
from core.metrics import REGISTRY
from core.secrets import key_ring, new_token
from core.settings import Settings
from core.tenancy.rows import Token
from core.tenancy.tenants import CreateTenant, create
from core.tenancy.tokens import ChangeTokens, IssuedToken, TokenAction, authenticate, change, ensure_platform_token
from tests.support.requests import Desk


def who(desk: Desk, token: str | None) -> Caller:
    return authenticate(desk.database, key_ring(desk.settings), token, desk.clock.now())


def issue(desk: Desk, tenant_id: str) -> IssuedToken:
    issued = desk.platform(change, ChangeTokens(id=tenant_id))
    assert isinstance(issued, IssuedToken)
    return issued


def valid(desk: Desk, tenant_id: str) -> list[tuple[str, datetime | None]]:
    listed = desk.platform(change, ChangeTokens(id=tenant_id, action=TokenAction.LIST))
    assert isinstance(listed, tuple)
    return [(token.token_id, token.last_used_at) for token in listed]


@pytest.fixture
def tenant(desk: Desk) -> str:
    return desk.platform(create, CreateTenant(name="a")).id


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (None, "missing"),
        ("", "missing"),
        ("svt_cut", "damaged"),
        ("something else", "unknown"),
        ("\0\ud800", "unknown"),
    ],
)
def test_a_bad_token_is_refused_with_its_reason(desk: Desk, token: str | None, reason: str) -> None:
    with pytest.raises(Unauthorised, match=reason):
        who(desk, token)


def test_a_well_formed_token_that_nobody_issued_is_unknown(desk: Desk) -> None:
    with pytest.raises(Unauthorised, match="unknown"):
        who(desk, new_token(Role.TENANT))


def test_a_revoked_token_is_refused_at_once_and_the_others_work(desk: Desk, tenant: str) -> None:
    first, second = issue(desk, tenant), issue(desk, tenant)
    assert who(desk, first.token).tenant_id == tenant
    desk.platform(change, ChangeTokens(id=tenant, action=TokenAction.REVOKE, token_id=first.token_id))
    desk.platform(change, ChangeTokens(id=tenant, action=TokenAction.REVOKE, token_id=first.token_id))
    with pytest.raises(Unauthorised, match="revoked"):
        who(desk, first.token)
    assert who(desk, second.token).token_id == second.token_id
    assert first.token_id not in dict(valid(desk, tenant))


def test_a_token_is_revoked_through_its_own_tenant_only(desk: Desk, tenant: str) -> None:
    other = desk.platform(create, CreateTenant(name="b")).id
    issued = issue(desk, tenant)
    with pytest.raises(NotFound, match="token"):
        desk.platform(change, ChangeTokens(id=other, action=TokenAction.REVOKE, token_id=issued.token_id))
    with pytest.raises(NotFound, match="tenant"):
        desk.platform(change, ChangeTokens(id="tenant-none"))
    with pytest.raises(Invalid, match="token_id"):
        desk.platform(change, ChangeTokens(id=tenant, action=TokenAction.REVOKE))


def test_the_last_use_is_noted_at_most_once_a_minute(desk: Desk, tenant: str) -> None:
    issued = issue(desk, tenant)
    start = desk.clock.now()
    seen = []
    for _ in range(5):
        who(desk, issued.token)
        seen.append(dict(valid(desk, tenant))[issued.token_id])
        desk.clock.advance(25)
    minute = [start, start, start, start + timedelta(seconds=75), start + timedelta(seconds=75)]
    assert seen == minute


def test_a_token_works_while_the_database_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.db.engine.BUSY_SECONDS", 0.01)
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    database.migrate()
    desk = Desk(database, Settings(data_dir=tmp_path))
    made = desk.platform(create, CreateTenant(name="a"))
    name = "starvc_token_use_updates_failed_total"
    before = REGISTRY.get_sample_value(name) or 0.0
    with database.platform(write=True) as session:
        session.execute(select(1))  # takes the lock
        assert who(desk, made.token).tenant_id == made.id
    assert REGISTRY.get_sample_value(name) == before + 1
    database.close()


def start(desk: Desk) -> str | None:
    with desk.database.platform(write=True) as session:
        return ensure_platform_token(session, desk.settings, desk.clock.now())


def test_the_first_start_makes_the_platform_token_and_shows_it_once(desk: Desk) -> None:
    token = start(desk)
    file = desk.settings.data_dir / "platform-token"
    assert token is not None
    assert file.read_text() == token + "\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert who(desk, token).is_platform
    assert start(desk) is None
    assert who(desk, token).is_platform


def test_a_configured_token_replaces_the_generated_one(desk: Desk) -> None:
    generated = start(desk)
    configured = "sixteen letters!"
    desk.settings = replace(desk.settings, platform_token=configured)
    assert start(desk) is None
    assert start(desk) is None
    assert who(desk, configured).is_platform
    with pytest.raises(Unauthorised, match="revoked"):
        who(desk, generated)
    assert not (desk.settings.data_dir / "platform-token").exists()
    desk.settings = replace(desk.settings, platform_token=generated)
    start(desk)
    assert who(desk, generated).is_platform
    with pytest.raises(Unauthorised, match="revoked"):
        who(desk, configured)


def test_a_configured_token_that_is_too_short_or_a_tenants_is_refused(desk: Desk, tenant: str) -> None:
    generated = start(desk)
    for token, problem in (("fifteen letters", "too few"), (issue(desk, tenant).token, "tenant holds")):
        desk.settings = replace(desk.settings, platform_token=token)
        with pytest.raises(Invalid, match=f"platform_token: .*{problem}"):
            start(desk)
    assert who(desk, generated).is_platform


def test_only_the_hash_of_a_token_is_kept(desk: Desk, tenant: str) -> None:
    issued = issue(desk, tenant)
    with desk.database.platform() as session:
        kept = [str(vars(token)) for token in session.query(Token)]
    assert kept
    assert all(issued.token not in row for row in kept)
