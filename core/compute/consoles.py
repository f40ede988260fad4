"""The console of a VM: where it is, and its password."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

from annotated_types import MaxLen

from core.compute import console_tickets, locks, operations
from core.compute.opening import VncPassword, random_password
from core.compute.operations import EITHER
from core.compute.rows import VmLock, VmState
from core.compute.vms import VmRef
from core.context import Context
from core.drivers.compute import DriverFault, VmAt
from core.errors import Conflict
from core.sealing import Place, sealing_keys
from core.tasks.context import TaskContext
from core.tasks.kinds import Kind, Write, declare, nothing_to_withdraw

PATH: Final = "/console"
"""Below it, tickets are opened."""
_PASSWORD: Final = "vnc_password"  # noqa: S105 (the name of a secret)
_LONGEST: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleDetails:
    """`url`: of a WebSocket that carries RFB (RFC 6143) in binary frames, as noVNC speaks it; it opens once, and within
    `console_seconds`. `host`, `port`: where the VM's VNC server is."""

    url: str
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePassword:
    id: Annotated[str, MaxLen(64)]
    password: VncPassword


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPassword:
    """Shown here and never again."""

    password: str


def read(at: Context, ref: VmRef) -> ConsoleDetails:
    """The address of the VM's console, for the caller alone. Raises NotFound, Conflict when the VM does not run or its
    hypervisor does not tell."""
    vm = operations.existing(at.session, ref.id)
    if vm.state is not VmState.RUNNING or vm.host_id is None:
        raise Conflict("VM", vm.id, "is not running")
    try:
        found = operations.driver(at).vnc(VmAt(vm.host_id, vm.id))
    except DriverFault as problem:
        raise Conflict("VM", vm.id, "its console cannot be reached", problem.reason) from None
    url = f"{_websocket(at.base_url)}{PATH}/{console_tickets.issue(at, vm)}"
    return ConsoleDetails(url=url, host=found.host, port=found.port)


def change_password(at: Context, want: ChangePassword) -> None:
    """The new password holds for consoles that are opened from now on. Raises NotFound, Locked, Conflict."""
    _set(at, want.id, want.password)


def reset_password(at: Context, ref: VmRef) -> NewPassword:
    """A random one. Raises NotFound, Locked, Conflict."""
    password = random_password(_LONGEST)
    _set(at, ref.id, password)
    return NewPassword(password=password)


def _websocket(base_url: str) -> str:
    """ws for http, wss for https (RFC 6455, section 3)."""
    return base_url.replace("http", "ws", 1)


def _set(at: Context, vm_id: str, password: str) -> None:
    operations.require(at, vm_id, "vnc_passwords")
    vm, _ = operations.begin(at, SET, vm_id, VmLock.CHANGING, EITHER, secrets={_PASSWORD: password})
    vm.vnc_password = sealing_keys(at.settings).seal(password, Place("vm", _PASSWORD, vm.id))


def _run(task: TaskContext) -> Write:
    task.driver.set_vnc_password(operations.home(task), task.secret(_PASSWORD))
    return lambda _session: None


SET: Final = declare(
    Kind(
        name="vm.vnc_password", title="set console password", target=locks.VM, run=_run, undo=operations.as_it_is,
        withdraw=nothing_to_withdraw, limit=timedelta(minutes=2),
    )
)  # fmt: skip
