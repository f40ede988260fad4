"""Tickets: short-lived leave to open the console of one VM, once, for whoever holds the text.

A ticket is a part of a URL, which ends up in histories and logs: it is worth nothing when it has been used, after some
seconds, and as soon as its token is revoked. Kept is its keyed hash alone, as of tokens (`core.secrets`).

The races: two who open the same ticket (one conditional UPDATE decides), and a VM that stops between the ticket and its
use: its state is looked at again, and the driver is asked where the console is only then, outside the transaction. What
stops later still is the driver's to notice: it closes the console of a VM that does not run.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Exists, delete, exists, select, update
from sqlalchemy.orm import Session

from core.compute.console_rows import ConsoleTicket
from core.compute.rows import Vm, VmState
from core.context import Context
from core.db.engine import Database
from core.db.guarded import changed
from core.drivers.compute import ComputeDriver, DriverFault, VmAt, VncEndpoint
from core.secrets import KeyRing, key_ring
from core.tenancy.rows import Token

_BYTES: Final = 32
_TICKET: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class Refusal(StrEnum):
    """Why a ticket does not open a console."""

    UNKNOWN = "unknown"
    USED = "used"
    EXPIRED = "expired"
    REVOKED = "revoked"
    """Its token is."""
    STOPPED = "stopped"
    UNREACHABLE = "unreachable"
    """The hypervisor does not tell where the console is."""


class TicketRefused(Exception):
    """The console stays closed."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Ticket:
    """What is known of a ticket, its token and its VM. `host_id` None: the VM is nowhere."""

    vm_id: str
    tenant_id: str
    token_id: str
    expires_at: datetime
    opened_at: datetime | None
    token_is_valid: bool
    state: VmState
    host_id: str | None


@dataclass(frozen=True, slots=True)
class Opened:
    """A console that may be looked at, and for whom."""

    vm_id: str
    token_id: str
    endpoint: VncEndpoint


def judge(ticket: Ticket | None, now: datetime) -> Refusal | None:
    """None: it opens the console at `now`. A ticket is good until just before it expires."""
    if ticket is None:
        return Refusal.UNKNOWN
    if ticket.opened_at is not None:
        return Refusal.USED
    if now >= ticket.expires_at:
        return Refusal.EXPIRED
    if not ticket.token_is_valid:
        return Refusal.REVOKED
    if ticket.state is not VmState.RUNNING or ticket.host_id is None:
        return Refusal.STOPPED
    return None


def issue(at: Context, vm: Vm) -> str:
    """The text of a ticket for the caller. It is shown here and never again."""
    text, now = secrets.token_urlsafe(_BYTES), at.clock.now()
    at.session.add(
        ConsoleTicket(
            digest=key_ring(at.settings).digest(text), tenant_id=vm.tenant_id, vm_id=vm.id,
            token_id=at.caller.token_id, created_at=now,
            expires_at=now + timedelta(seconds=at.settings.console_seconds),
        )
    )  # fmt: skip
    return text


def open_console(database: Database, keys: KeyRing, driver: ComputeDriver, text: str, now: datetime) -> Opened:
    """Uses the ticket up. Raises TicketRefused; UNREACHABLE uses it up, too."""
    if not _TICKET.fullmatch(text):
        raise TicketRefused(Refusal.UNKNOWN)
    digest = keys.digest(text)
    with database.platform() as session:  # whoever guesses holds up no writer
        _good(session, digest, now)
    with database.platform(write=True) as session:
        ticket = _good(session, digest, now)
        own = (ConsoleTicket.digest == digest, ConsoleTicket.opened_at.is_(None))
        if not changed(session, update(ConsoleTicket).where(*own).values(opened_at=now)):
            raise TicketRefused(Refusal.USED)
    assert ticket.host_id is not None
    try:
        endpoint = driver.vnc(VmAt(ticket.host_id, ticket.vm_id))
    except DriverFault as problem:
        raise TicketRefused(Refusal.UNREACHABLE) from problem
    return Opened(ticket.vm_id, ticket.token_id, endpoint)


def may_stay(database: Database, token_id: str) -> bool:
    """Whether the token is still valid: an open console is closed when it is not."""
    with database.platform() as session:
        return bool(session.scalar(select(_is_valid(token_id))))


def forget(database: Database, now: datetime) -> None:
    """Delete the tickets that have expired."""
    old = ConsoleTicket.expires_at <= now
    with database.platform() as session:
        if not session.scalar(select(exists().where(old))):
            return
    with database.platform(write=True) as session:
        session.execute(delete(ConsoleTicket).where(old))


def _good(session: Session, digest: str, now: datetime) -> Ticket:
    ticket = _known(session, digest)
    refusal = judge(ticket, now)
    if refusal is not None:
        raise TicketRefused(refusal)
    assert ticket is not None
    return ticket


def _known(session: Session, digest: str) -> Ticket | None:
    row = session.scalars(select(ConsoleTicket).where(ConsoleTicket.digest == digest)).one_or_none()
    vm = None if row is None else session.scalars(select(Vm).where(Vm.id == row.vm_id)).one_or_none()
    if row is None or vm is None:
        return None
    is_valid = bool(session.scalar(select(_is_valid(row.token_id))))
    return Ticket(
        row.vm_id, row.tenant_id, row.token_id, row.expires_at, row.opened_at, is_valid, vm.state, vm.host_id
    )  # fmt: skip


def _is_valid(token_id: str) -> Exists:
    return exists().where(Token.id == token_id, Token.revoked_at.is_(None))
