"""Troubles that nobody can measure on a page: of the installation itself, and of what was attempted with a host.

A trouble is there or it is not. It is never *failed*: that the store does not answer is itself one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from core.compute.rows import Vm, VmState
from core.hosts.rows import Host, HostState
from core.timeseries.fields import Kind

PLATFORM: Final = "platform"
"""The id of the only object of its kind: this installation."""


class Trouble(StrEnum):
    STORE_UNAVAILABLE = "store_unavailable"
    """The time-series store did not answer this evaluation."""
    OWN_LINK_LOST = "own_link_lost"
    """No host at all answers, so that it is us: no host is declared dead."""
    BRAKE_ENGAGED = "brake_engaged"
    """Too many hosts are suspected at once: none is fenced, no VM is restarted."""
    FENCING_FAILED = "fencing_failed"
    """The host looked dead and could not be switched off: its VMs were not restarted."""
    VMS_STRANDED = "vms_stranded"
    """The host is off, and VMs that ought to run are still on it."""


Troubled = Mapping[Trouble, frozenset[str]]
"""Whom each trouble concerns, by object id. One that is not there concerns nobody."""

TROUBLES: Final[Mapping[Kind, tuple[Trouble, ...]]] = {
    Kind.PLATFORM: (Trouble.STORE_UNAVAILABLE, Trouble.OWN_LINK_LOST, Trouble.BRAKE_ENGAGED),
    Kind.HOST: (Trouble.FENCING_FAILED, Trouble.VMS_STRANDED),
}
"""What can befall the objects of a kind."""


def troubled_hosts(session: Session) -> Troubled:
    """Hosts that are in maintenance have no trouble: somebody is looking after them."""
    unfenced = select(Host.id).where(Host.fence_failures > 0, Host.state.not_in((HostState.RUNNING, HostState.STOPPED)))
    waiting = exists().where(Vm.host_id == Host.id, Vm.state == VmState.RUNNING)
    stranded = select(Host.id).where(Host.state == HostState.STOPPED, ~Host.maintenance, waiting)
    return {
        Trouble.FENCING_FAILED: frozenset(session.scalars(unfenced)),
        Trouble.VMS_STRANDED: frozenset(session.scalars(stranded)),
    }
