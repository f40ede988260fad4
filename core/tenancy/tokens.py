"""Tokens: issuing, revoking, listing, and telling who holds one.

The worst moment: a token that works and nobody knows (the database committed, the file or the answer was lost). The
file of the platform token is therefore on the disk before the database commits; a tenant's lost answer is healed by
issuing another one. A revocation holds from the next request on: nothing is cached.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

import structlog
from annotated_types import MaxLen
from sqlalchemy import exists, or_, select, update
from sqlalchemy.exc import OperationalError

from core.context import Caller, Context, Role
from core.db.engine import Database
from core.db.search import exactly, only
from core.db.session import PlatformSession
from core.errors import Invalid, NotFound, Unauthorised
from core.files import replace_private
from core.ids import new_id
from core.secrets import KeyRing, is_damaged, key_ring, new_token
from core.settings import Settings
from core.tenancy.metrics import USE_UPDATES_FAILED
from core.tenancy.rows import Tenant, Token

PLATFORM_TOKEN_FILE: Final = "platform-token"  # noqa: S105 - the name of the file
SHORTEST: Final = 16
_USE_INTERVAL: Final = timedelta(minutes=1)
"""`last_used_at` is written at most so often: a request costs no write."""

_HOLDER: Final = select(Token.id, Token.role, Token.tenant_id, Token.last_used_at, Token.revoked_at)

_log = structlog.get_logger(__name__)


class TokenAction(StrEnum):
    ISSUE = "issue"
    REVOKE = "revoke"
    LIST = "list"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeTokens:
    """`id` is the tenant's; `token_id` is needed to revoke, and only then."""

    id: Annotated[str, MaxLen(64)]
    action: TokenAction = TokenAction.ISSUE
    token_id: Annotated[str, MaxLen(64)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """`token` is shown here and never again."""

    token_id: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenDetails:
    token_id: str
    created_at: datetime
    last_used_at: datetime | None


def change(at: Context, want: ChangeTokens) -> IssuedToken | tuple[TokenDetails, ...] | None:
    """Issue, revoke or list the tokens of a tenant; the answer is that of the action. Raises NotFound, Invalid."""
    _existing_tenant(at, want.id)
    match want.action:
        case TokenAction.ISSUE:
            return issue(at, want.id)
        case TokenAction.REVOKE:
            if want.token_id is None:
                raise Invalid("token_id", "missing", "the id of a token of this tenant")
            revoke(at, want.id, want.token_id)
            return None
        case TokenAction.LIST:
            return list_valid(at, want.id)


def issue(at: Context, tenant_id: str) -> IssuedToken:
    """One more token for a tenant that exists; the others stay valid."""
    text = new_token(Role.TENANT)
    token = _row(key_ring(at.settings), text, Role.TENANT, tenant_id, at.clock.now())
    at.session.add(token)
    at.session.flush()
    return IssuedToken(token_id=token.id, token=text)


def revoke(at: Context, tenant_id: str, token_id: str) -> None:
    """The token is refused from the next request on. Revoking it again changes nothing. Raises NotFound."""
    own = (*exactly(Token.id, token_id), *exactly(Token.tenant_id, tenant_id))
    token = only(at.session, select(Token).where(*own), "token", token_id)
    if token.revoked_at is None:
        token.revoked_at = at.clock.now()


def list_valid(at: Context, tenant_id: str) -> tuple[TokenDetails, ...]:
    """Tokens of a tenant that are not revoked, newest first."""
    valid = select(Token).where(Token.tenant_id == tenant_id, Token.revoked_at.is_(None))
    return tuple(
        TokenDetails(token_id=token.id, created_at=token.created_at, last_used_at=token.last_used_at)
        for token in at.session.scalars(valid.order_by(Token.created_at.desc(), Token.id))
    )


def authenticate(database: Database, keys: KeyRing, text: str | None, now: datetime) -> Caller:
    """Who holds this token. Raises Unauthorised, saying whether it is missing, damaged, unknown or revoked."""
    if not text:
        raise Unauthorised("the token is missing")
    if is_damaged(text):
        raise Unauthorised("the token is damaged: mistyped or cut")
    digest = keys.digest(text)
    with database.platform() as session:
        row = session.execute(_HOLDER.where(Token.digest == digest)).one_or_none()
    if row is None:
        raise Unauthorised("the token is unknown")
    token_id, role, tenant_id, last_used_at, revoked_at = row
    if revoked_at is not None:
        raise Unauthorised("the token is revoked", token_id)
    if last_used_at is None or now - last_used_at >= _USE_INTERVAL:
        _note_use(database, token_id, now)
    return Caller(role, token_id, tenant_id)


def _note_use(database: Database, token_id: str, now: datetime) -> None:
    """Bookkeeping: when the database cannot be written, whoever only reads is still served."""
    due = or_(Token.last_used_at.is_(None), Token.last_used_at <= now - _USE_INTERVAL)
    try:
        with database.platform(write=True) as session:
            session.execute(update(Token).where(Token.id == token_id, due).values(last_used_at=now))
    except OperationalError as problem:
        USE_UPDATES_FAILED.inc()
        _log.warning("token_use_not_noted", token_id=token_id, problem=str(problem.orig))


def ensure_platform_token(session: PlatformSession, settings: Settings, now: datetime) -> str | None:
    """There is a valid platform token afterwards. Its text, if it has just been generated: show it once.

    A token in the settings replaces all others, and the file of a generated one goes. Raises Invalid when it is too
    short. Call it in a write transaction, at start.
    """
    if settings.platform_token is not None:
        _use_configured(session, settings, settings.platform_token, now)
        return None
    return _ensure(session, settings, (Role.PLATFORM, None), PLATFORM_TOKEN_FILE, now)


def ensure_tenant_token(
    session: PlatformSession, settings: Settings, tenant_id: str, file: str, now: datetime
) -> str | None:
    """The token of a tenant of our own making, kept in `file` of the data folder; a new one if none is valid. None: it
    was made on another machine, and is kept there."""
    made = _ensure(session, settings, (Role.TENANT, tenant_id), file, now)
    if made is not None:
        return made
    try:
        return (settings.data_dir / file).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None


def _ensure(
    session: PlatformSession, settings: Settings, holder: tuple[Role, str | None], file: str, now: datetime
) -> str | None:
    """The text of the token that was made, and written to `file`; None: there is a valid one."""
    role, tenant_id = holder
    holds = (Token.role == role, Token.tenant_id.is_not_distinct_from(tenant_id))
    valid = exists().where(*holds, Token.revoked_at.is_(None))
    if session.scalar(select(valid)):
        return None
    text = new_token(role)
    session.add(_row(key_ring(settings), text, role, tenant_id, now))
    session.flush()
    replace_private(settings.data_dir / file, text + "\n")
    return text


def _use_configured(session: PlatformSession, settings: Settings, text: str, now: datetime) -> None:
    if len(text) < SHORTEST:
        raise Invalid("platform_token", f"{len(text)} characters are too few", f"at least {SHORTEST}, of random origin")
    wanted = _row(key_ring(settings), text, Role.PLATFORM, None, now)
    kept = session.scalars(select(Token).where(Token.digest == wanted.digest)).one_or_none()
    if kept is None:
        session.add(wanted)
        kept = wanted
    elif kept.role is not Role.PLATFORM:
        raise Invalid("platform_token", "a tenant holds this token", "a token of its own")
    kept.revoked_at = None
    session.flush()
    others = (Token.role == Role.PLATFORM, Token.id != kept.id, Token.revoked_at.is_(None))
    session.execute(update(Token).where(*others).values(revoked_at=now))
    (settings.data_dir / PLATFORM_TOKEN_FILE).unlink(missing_ok=True)


def _existing_tenant(at: Context, tenant_id: str) -> None:
    if at.session.scalar(select(Tenant.id).where(*exactly(Tenant.id, tenant_id))) is None:
        raise NotFound("tenant", tenant_id)


def _row(keys: KeyRing, text: str, role: Role, tenant_id: str | None, now: datetime) -> Token:
    return Token(id=new_id("token"), role=role, tenant_id=tenant_id, digest=keys.digest(text), created_at=now)
