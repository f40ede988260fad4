"""What people are shown as a VM's state: its own, seen through its host's. The one place that knows."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, and_, case, type_coerce

from core.compute.rows import Vm, VmState
from core.db.types import Code
from core.hosts.rows import HostState

_ON_A_HOST: Final = (VmState.RUNNING, VmState.SUSPENDED)
_SUSPECTED: Final = (HostState.FAULT_DETECTING, HostState.HA_DETECTING)


def shown_state() -> ColumnElement[VmState]:
    """For selecting and for filtering. A VM that ought to be on its host is "fault detecting" while the host is
    suspected, and stopped when the host is; on an offline host no fault was found, so its own state stands. Nothing is
    stored: it recovers together with the host."""
    stopped = and_(Vm.state.in_(_ON_A_HOST), Vm.host_state == HostState.STOPPED)
    return _states(_SUSPICION, (stopped, int(VmState.STOPPED)))


def judged_state() -> ColumnElement[VmState]:
    """For alarms: as shown, except that a VM of a dead host ought to run still, and its silence is no excuse."""
    return _states(_SUSPICION)


_Case = tuple[ColumnElement[bool], int]
_SUSPICION: Final[_Case] = (
    and_(Vm.state.in_(_ON_A_HOST), Vm.host_state.in_(_SUSPECTED)),
    int(VmState.FAULT_DETECTING),
)


def _states(*cases: _Case) -> ColumnElement[VmState]:
    return type_coerce(case(*cases, else_=Vm.state), Code(VmState))
