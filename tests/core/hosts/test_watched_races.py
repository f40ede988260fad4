"""Two watches over the same hosts that write at the same moment."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from core.clock import VirtualClock
from core.compute.inventory import ensure_host
from core.db.engine import Database
from core.hosts.rows import Host, HostState, Origin
from core.hosts.state import HostStatus
from core.hosts.watched import Decision, Watched, write
from tests.support.inventory import a_host
from tests.support.threads import meeting_after, together

CLOCK = VirtualClock()


@pytest.fixture
def at(database: Database) -> Database:
    """Two hosts."""
    with database.platform(write=True) as session:
        for number in (1, 2):
            ensure_host(session, a_host(number), CLOCK.now())
    return database


def scraped(host_id: str, *, connected: bool) -> Decision:
    """Nothing but that a host answers by now, or does not any more."""
    status = HostStatus(HostState.RUNNING, CLOCK.now())
    host = Watched(host_id, Origin.SIMULATED, maintenance=False, connected=not connected, urls={}, status=status)
    return Decision(host, status, [], connected=connected)


def test_watches_that_see_the_opposite_of_the_same_hosts_do_not_wait_for_each_other(at: Database) -> None:
    """Each would write first what the other writes last."""

    def watch(number: int) -> None:
        seen = [scraped("host-1", connected=number == 0), scraped("host-2", connected=number == 1)]
        with at.platform(write=True) as session:
            write(session, seen, [], CLOCK.now(), f"detector-{number}", 1.0)

    with meeting_after(at, "UPDATE host"):
        together(2, watch)
    with at.platform() as session:
        assert sorted(session.scalars(select(Host.connected))) == [False, True]
