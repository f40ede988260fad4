"""Tickets of consoles: when one opens, and that it opens once."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from core.compute import console_tickets, consoles, power, removal
from core.compute.console_rows import ConsoleTicket
from core.compute.console_tickets import Opened, Refusal, Ticket, TicketRefused, judge
from core.compute.rows import VmState
from core.compute.vms import VmRef
from core.context import Role
from core.drivers.simulated.faults import Action, Deed, Fault
from core.secrets import key_ring
from core.tenancy.rows import Token
from tests.support.control import Control

NOW = datetime(2026, 3, 1, tzinfo=UTC)
GOOD = Ticket("vm-1", "tenant-1", "token-1", NOW + timedelta(seconds=60), None, True, VmState.RUNNING, "host-1")


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({}, None),
        ({"opened_at": NOW}, Refusal.USED),
        ({"expires_at": NOW}, Refusal.EXPIRED),
        ({"expires_at": NOW + timedelta(microseconds=1)}, None),
        ({"token_is_valid": False}, Refusal.REVOKED),
        ({"state": VmState.STOPPED}, Refusal.STOPPED),
        ({"state": VmState.SUSPENDED}, Refusal.STOPPED),
        ({"host_id": None}, Refusal.STOPPED),
        ({"opened_at": NOW, "expires_at": NOW}, Refusal.USED),
    ],
)
def test_each_thing_that_is_wrong_refuses_by_itself(change: dict[str, object], refusal: Refusal | None) -> None:
    assert judge(dataclasses.replace(GOOD, **change), NOW) is refusal  # type: ignore[arg-type]


def test_what_is_not_known_opens_nothing() -> None:
    assert judge(None, NOW) is Refusal.UNKNOWN


@given(
    st.builds(
        Ticket, st.just("vm-1"), st.just("tenant-1"), st.just("token-1"),
        st.integers(-100, 100).map(lambda seconds: NOW + timedelta(seconds=seconds)), st.none() | st.just(NOW),
        st.booleans(), st.sampled_from(VmState), st.none() | st.just("host-1"),
    ),
    st.integers(0, 200),
)  # fmt: skip
def test_nothing_but_the_whole_truth_opens_and_time_never_heals(ticket: Ticket, seconds: int) -> None:
    opens = judge(ticket, NOW) is None
    assert opens == (
        ticket.opened_at is None and ticket.expires_at > NOW and ticket.token_is_valid
        and ticket.state is VmState.RUNNING and ticket.host_id is not None
    )  # fmt: skip
    if not opens:
        assert judge(ticket, NOW + timedelta(seconds=seconds)) is not None


@pytest.fixture
def vm(control: Control) -> str:
    """It runs; the token that asks for its console exists."""
    with control.database.platform(write=True) as session:
        session.add(
            Token(id="token", role=Role.TENANT, tenant_id=control.tenant, digest="d", created_at=control.clock.now())
        )
    return control.open()[0]


def _ask(control: Control, vm: str) -> str:
    return control.do(consoles.read, VmRef(id=vm)).url.removeprefix("/console/")


def _open(control: Control, ticket: str) -> Opened:
    keys = key_ring(control.settings)
    return console_tickets.open_console(control.database, keys, control.driver, ticket, control.clock.now())


def _refusal(control: Control, ticket: str) -> Refusal:
    with pytest.raises(TicketRefused) as refused:
        _open(control, ticket)
    return refused.value.reason


def _tickets(control: Control) -> int:
    with control.database.platform() as session:
        return session.scalar(select(func.count()).select_from(ConsoleTicket)) or 0


def test_of_many_who_open_a_ticket_at_once_one_does(control: Control, vm: str) -> None:
    ticket = _ask(control, vm)

    def attempt(_: int) -> Refusal | None:
        try:
            _open(control, ticket)
        except TicketRefused as refused:
            return refused.reason
        return None

    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(attempt, range(8)))
    assert sorted(map(str, ends)) == ["None"] + ["used"] * 7


def test_an_opened_ticket_says_where_the_console_is_now(control: Control, vm: str) -> None:
    opened = _open(control, _ask(control, vm))
    assert (opened.vm_id, opened.token_id, opened.endpoint.host) == (vm, "token", "127.0.0.1")
    assert console_tickets.may_stay(control.database, "token")


def test_a_token_that_is_revoked_or_gone_opens_nothing_any_more(control: Control, vm: str) -> None:
    ticket = _ask(control, vm)
    with control.database.platform(write=True) as session:
        session.execute(update(Token).where(Token.id == "token").values(revoked_at=control.clock.now()))
    assert _refusal(control, ticket) is Refusal.REVOKED
    assert not console_tickets.may_stay(control.database, "token")
    with control.database.platform(write=True) as session:
        session.delete(session.get_one(Token, "token"))
    assert _refusal(control, ticket) is Refusal.REVOKED


def test_a_vm_that_stopped_meanwhile_refuses_and_the_ticket_is_not_used(control: Control, vm: str) -> None:
    ticket = _ask(control, vm)
    control.finish(power.power_off, VmRef(id=vm))
    assert _refusal(control, ticket) is Refusal.STOPPED
    control.finish(power.start, VmRef(id=vm))
    assert _open(control, ticket).vm_id == vm


def test_a_hypervisor_that_does_not_tell_uses_the_ticket_up(control: Control, vm: str) -> None:
    ticket = _ask(control, vm)
    control.world.inject(Fault(Action.FAIL_OPERATION, vm, Deed.CONSOLE))
    assert _refusal(control, ticket) is Refusal.UNREACHABLE
    assert _refusal(control, ticket) is Refusal.USED


def test_tickets_go_when_they_expire_and_with_their_vm(control: Control, vm: str) -> None:
    _ask(control, vm)
    control.clock.advance(30)
    late = _ask(control, vm)
    control.clock.advance(30)
    console_tickets.forget(control.database, control.clock.now())
    assert _tickets(control) == 1
    control.finish(power.power_off, VmRef(id=vm))
    control.finish(removal.delete, VmRef(id=vm))
    assert _tickets(control) == 0
    assert _refusal(control, late) is Refusal.UNKNOWN
    control.check()


@pytest.mark.parametrize("text", ["", "x", "A" * 42, "A" * 44, "A" * 43 + "\n", "é" * 43, "A" * 43])
def test_what_was_never_issued_is_unknown(control: Control, text: str) -> None:
    assert _refusal(control, text) is Refusal.UNKNOWN


def test_the_database_has_no_ticket_that_opens(control: Control, vm: str) -> None:
    ticket = _ask(control, vm)
    with control.database.platform() as session:
        (row,) = session.scalars(select(ConsoleTicket))
        kept = {str(value) for name, value in vars(row).items() if not name.startswith("_")}
    assert ticket not in kept
    assert all(_refusal(control, text) is Refusal.UNKNOWN for text in kept)
