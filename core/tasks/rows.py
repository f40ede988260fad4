"""Tables of tasks and of the servers that run them.

`owner` and `fence` stand in the WHERE of every UPDATE that a running task's worker makes: who was declared dead, or
over time, and wakes up again, changes nothing. Of two tasks on one object only one runs: `uq_task_running` is the
referee. A task keeps no foreign key to its tenant and object: it outlives them.
"""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum

from sqlalchemy import JSON, BigInteger, CheckConstraint, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.types import Code, Row, TenantOwned
from core.sealing import Sealed, SealedText


class TaskState(IntEnum):
    """Appendix 4 of the StarVCenter document."""

    SUCCEEDED = 0
    FAILED = 1
    RUNNING = 2
    QUEUED = 3
    LOST = 4
    TIMED_OUT = 5
    ABORTED = 6
    CANCELLED = 7

    @property
    def has_ended(self) -> bool:
        return self not in {TaskState.RUNNING, TaskState.QUEUED}


Argument = str | int | bool | None | list[str]

_RUNNING = text("state = 2")
_QUEUED = text("state = 3")


class Task(Row, TenantOwned):
    """`number` orders tasks; `id` is the `startid`. `tenant_id` is that of the object, NULL for the platform's own.

    `owner`: of a queued task the server that accepted it (NULL: any), of a running one the server that runs it (NULL:
    it awaits settlement). `ending` is the end that has been decided for a running task and takes effect, in `state`,
    together with its object being put right: until then the object stays locked. `retry_at`: not settled before.
    `deadline`: until the end of the step or of the settlement. The first line of `reason` is for everybody; what
    follows it names hosts and addresses, and is for the platform alone. `arguments` are ids and sizes, never secrets:
    those are in `sealed`, and gone when the task has ended.
    """

    __tablename__ = "task"
    __table_args__ = (
        Index(
            "uq_task_running", "object_type", "object_id", unique=True,
            sqlite_where=_RUNNING, postgresql_where=_RUNNING,
        ),
        Index("ix_task_queue", "number", sqlite_where=_QUEUED, postgresql_where=_QUEUED),
        Index("ix_task_object_type_object_id", "object_type", "object_id", "number"),
        CheckConstraint("(ended_at IS NULL) = (state IN (2, 3))", name="ended_has_a_time"),
        CheckConstraint("ended_at IS NULL OR sealed IS NULL", name="ended_keeps_no_secret"),
        CheckConstraint("state <> 2 OR owner IS NOT NULL OR ending IS NOT NULL", name="running_has_an_owner"),
        CheckConstraint("progress BETWEEN 0 AND 100", name="progress_in_percent"),
    )  # fmt: skip

    number: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    tenant_id: Mapped[str | None] = mapped_column(String(64), index=True)
    kind: Mapped[str] = mapped_column(String(64))
    object_type: Mapped[str] = mapped_column(String(32))
    object_id: Mapped[str] = mapped_column(String(64))
    state: Mapped[TaskState] = mapped_column(Code(TaskState), default=TaskState.QUEUED)
    ending: Mapped[TaskState | None] = mapped_column(Code(TaskState))
    reason: Mapped[str] = mapped_column(Text, default="")
    progress: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(index=True)
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None] = mapped_column(index=True)
    deadline: Mapped[datetime | None]
    retry_at: Mapped[datetime | None]
    settlements: Mapped[int] = mapped_column(default=0)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    owner: Mapped[str | None] = mapped_column(String(64), index=True)
    fence: Mapped[int] = mapped_column(default=0)
    arguments: Mapped[dict[str, Argument]] = mapped_column(JSON)
    sealed: Mapped[Sealed | None] = mapped_column(SealedText)


class Server(Row):
    """One start of one process: a new id each time. It lives while its livelock file is locked, where that file can be
    seen, and otherwise while `beats` grows (`core.tasks.servers`)."""

    __tablename__ = "server"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    livelock: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime]
    beats: Mapped[int] = mapped_column(BigInteger, default=0)
