"""What is asked of the guest through its agent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

from annotated_types import MaxLen, MinLen

from core.compute import locks, operations
from core.compute.operations import AWAKE
from core.compute.power import GUEST_SECONDS
from core.compute.rows import VmLock
from core.compute.vms import VmRef
from core.context import Context, Started
from core.tasks.context import TaskContext
from core.tasks.kinds import Kind, Write, declare, nothing_to_withdraw

_PASSWORD: Final = "password"  # noqa: S105 (the name of a secret)
_WINDOWS: Final = "win"
"""Models whose code begins like this have Windows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAdminPassword:
    """`user` None: the administrator of the VM's system."""

    id: Annotated[str, MaxLen(64)]
    user: Annotated[str, MinLen(1), MaxLen(64)] | None = None
    password: Annotated[str, MinLen(1), MaxLen(128)]


def set_admin_password(at: Context, want: SetAdminPassword) -> Started[None]:
    """Raises NotFound, Locked, Conflict when the VM does not run."""
    operations.require(at, want.id, "guest_passwords")
    windows = operations.existing(at.session, want.id).model_code.casefold().startswith(_WINDOWS)
    user = want.user or ("Administrator" if windows else "root")
    _, task_id = operations.begin(
        at, SET_PASSWORD, want.id, VmLock.CHANGING, AWAKE, {"user": user}, secrets={_PASSWORD: want.password}
    )
    return Started(task_id, None)


def wake_agent(at: Context, ref: VmRef) -> Started[None]:
    """Raises NotFound, Locked, Conflict when the VM does not run."""
    _, task_id = operations.begin(at, WAKE_AGENT, ref.id, VmLock.CHANGING, AWAKE)
    return Started(task_id, None)


def _set_password(task: TaskContext) -> Write:
    task.driver.set_admin_password(operations.home(task), task.task.text("user"), task.secret(_PASSWORD))
    return _nothing_to_write


def _wake(task: TaskContext) -> Write:
    task.driver.wake_agent(operations.home(task), GUEST_SECONDS, task.part(0, 100))
    return _nothing_to_write


def _nothing_to_write(_session: object) -> None:
    """The inventory knows nothing of what is in the guest."""


SET_PASSWORD: Final = declare(
    Kind(
        name="vm.admin_password", title="set administrator password", target=locks.VM, run=_set_password,
        undo=operations.as_it_is, withdraw=nothing_to_withdraw, limit=timedelta(minutes=5),
    )
)  # fmt: skip
WAKE_AGENT: Final = declare(
    Kind(
        name="vm.wake_agent", title="wake guest agent", target=locks.VM, run=_wake, undo=operations.as_it_is,
        withdraw=nothing_to_withdraw, limit=timedelta(minutes=5),
    )
)  # fmt: skip
