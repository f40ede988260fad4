"""Switching VMs on and off. The states are the driver's in the end: whatever an operation did, the VM's row says what
is true afterwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from core.compute import locks, operations
from core.compute.operations import AWAKE, QUIET
from core.compute.rows import VmLock, VmState
from core.compute.vms import VmRef
from core.context import Context, Started
from core.drivers.compute import VmAt
from core.tasks.context import TaskContext
from core.tasks.kinds import Kind, Write, declare, nothing_to_withdraw

GUEST_SECONDS: Final = 120.0
"""How long a guest may take for what only it can do."""
_LIMIT: Final = timedelta(minutes=5)


def start(at: Context, ref: VmRef) -> Started[None]:
    """Raises NotFound, Locked, Conflict when it is not stopped."""
    return _begin(at, ref, START, VmLock.STARTING)


def power_off(at: Context, ref: VmRef) -> Started[None]:
    """Cut the power. Raises NotFound, Locked, Conflict when it does not run."""
    return _begin(at, ref, POWER_OFF, VmLock.STOPPING)


def shut_down(at: Context, ref: VmRef) -> Started[None]:
    """Ask the guest; the task fails when it does not follow. Raises NotFound, Locked, Conflict when it does not run."""
    return _begin(at, ref, SHUT_DOWN, VmLock.STOPPING)


def restart(at: Context, ref: VmRef) -> Started[None]:
    """Ask the guest. Raises NotFound, Locked, Conflict when it does not run."""
    return _begin(at, ref, RESTART, VmLock.STARTING)


def _begin(at: Context, ref: VmRef, kind: Kind, lock: VmLock) -> Started[None]:
    states = QUIET if kind is START else AWAKE
    _, task_id = operations.begin(at, kind, ref.id, lock, states)
    return Started(task_id, None)


def _run(deed: Callable[[TaskContext, VmAt], None], state: VmState) -> Callable[[TaskContext], Write]:
    def run(task: TaskContext) -> Write:
        deed(task, operations.home(task))
        return lambda session: operations.set_state(session, task.task.object_id, state)

    return run


def _kind(name: str, title: str, state: VmState, deed: Callable[[TaskContext, VmAt], None]) -> Kind:
    return declare(
        Kind(
            name=f"vm.{name}", title=title, target=locks.VM, run=_run(deed, state), undo=operations.as_it_is,
            withdraw=nothing_to_withdraw, limit=_LIMIT,
        )
    )  # fmt: skip


def _shut_down(task: TaskContext, at: VmAt) -> None:
    task.driver.ensure_shut_down(at, GUEST_SECONDS, task.part(0, 100))


def _restart(task: TaskContext, at: VmAt) -> None:
    task.driver.reboot(at, GUEST_SECONDS, task.part(0, 100))


START: Final = _kind("start", "start VM", VmState.RUNNING, lambda task, at: task.driver.ensure_on(at))
POWER_OFF: Final = _kind("power_off", "power off VM", VmState.STOPPED, lambda task, at: task.driver.ensure_off(at))
SHUT_DOWN: Final = _kind("shut_down", "shut down VM", VmState.STOPPED, _shut_down)
RESTART: Final = _kind("restart", "restart VM", VmState.RUNNING, _restart)
