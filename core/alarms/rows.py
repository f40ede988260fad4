"""Tables of alarms: episodes, the machine's memory, history, the notification outbox and maintenance windows.

Alarms hold snapshots of names and owners instead of foreign keys: they outlive their objects. The worst moment is two
evaluators that raise the same alarm at once: `uq_alarm_open` lets one of them through, on both databases.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from core.alarms.finding import Severity
from core.alarms.machine import Change, Phase
from core.context import Role
from core.db.types import Code, Row, TenantOwned, Word
from core.timeseries.fields import Kind

_OPEN = text("relieved_at IS NULL")
_OUTSTANDING = text("outstanding")
_WAITING = text("delivered_at IS NULL AND dead_at IS NULL")


class ReliefWay(StrEnum):
    """As the document has it; `none` on the wire is a NULL here."""

    AUTO = "auto"
    MANUAL = "manual"


class Alarm(Row, TenantOwned):
    """One episode: from the raise to the relief of one rule on one object.

    `tenant_id` is the VM's tenant, NULL for what belongs to the platform. `told_*` is what the receivers were last
    told (`core.alarms.announce`); `outstanding` marks that it differs from the truth and waits: suppressed, shelved,
    or changed by a person since the last evaluation.
    """

    __tablename__ = "alarm"
    __table_args__ = (
        Index("uq_alarm_open", "rule_id", "object_id", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_alarm_outstanding", "id", sqlite_where=_OUTSTANDING, postgresql_where=_OUTSTANDING),
        CheckConstraint("(relieved_at IS NULL) = (relieve_way IS NULL)", name="relief_has_a_way"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    rule_id: Mapped[str] = mapped_column(String(128), index=True)
    category: Mapped[str] = mapped_column(String(64))
    labels: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    object_kind: Mapped[Kind] = mapped_column(Word(Kind))
    object_id: Mapped[str] = mapped_column(String(192), index=True)
    object_name: Mapped[str] = mapped_column(String(192), default="")
    tenant_id: Mapped[str | None] = mapped_column(String(64), index=True)
    host_id: Mapped[str | None] = mapped_column(String(64), index=True)
    vm_id: Mapped[str | None] = mapped_column(String(64))
    severity: Mapped[Severity] = mapped_column(Code(Severity))
    max_severity: Mapped[Severity] = mapped_column(Code(Severity))
    latched: Mapped[bool] = mapped_column(default=False)
    flapping: Mapped[bool] = mapped_column(default=False)
    content_zh: Mapped[str] = mapped_column(Text, default="")
    content_en: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(index=True)
    relieved_at: Mapped[datetime | None]
    relieve_way: Mapped[ReliefWay | None] = mapped_column(Word(ReliefWay))
    note: Mapped[str] = mapped_column(String(1024), default="")
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None] = mapped_column(String(64))
    shelved_until: Mapped[datetime | None]
    suppressed_by: Mapped[str | None] = mapped_column(String(128))
    told_severity: Mapped[Severity | None] = mapped_column(Code(Severity))
    told_flapping: Mapped[bool] = mapped_column(default=False)
    told_latched: Mapped[bool] = mapped_column(default=False)
    announcements: Mapped[int] = mapped_column(default=0)
    transitions: Mapped[int] = mapped_column(default=0)
    outstanding: Mapped[bool] = mapped_column(default=False)


class AlarmState(Row, TenantOwned):
    """What the machine remembers of one rule on one object; no row: nothing is pending, raised or flapping.

    Times are epoch seconds, as in the time series that the evidence comes from. `evidence_until` NULL: as fresh as the
    rule's (`AlarmRule`), so that a timer that runs on does not write its row at every evaluation.
    """

    __tablename__ = "alarm_state"

    rule_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    object_id: Mapped[str] = mapped_column(String(192), primary_key=True)
    tenant_id: Mapped[str | None] = mapped_column(String(64), index=True)
    alarm_id: Mapped[str | None] = mapped_column(ForeignKey("alarm.id"), index=True)
    rungs: Mapped[list[list[Any]]] = mapped_column(JSON)
    evidence_until: Mapped[float | None]
    flap_score: Mapped[float] = mapped_column(default=0.0)
    flap_at: Mapped[float] = mapped_column(default=0.0)
    flapping: Mapped[bool] = mapped_column(default=False)


class AlarmRule(Row):
    """How far a rule's evidence reaches, and the highest fencing token that has written for it."""

    __tablename__ = "alarm_rule"

    rule_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    evidence_until: Mapped[float | None]
    fence: Mapped[int] = mapped_column(BigInteger, default=0)


class AlarmTransition(Row, TenantOwned):
    """History: what changed, from what, why, and who did it.

    `actor`: `system` or a token's id; `actor_role`: of that token. A tenant is not told which token of the platform.
    """

    __tablename__ = "alarm_transition"
    __table_args__ = (UniqueConstraint("alarm_id", "number"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    alarm_id: Mapped[str] = mapped_column(ForeignKey("alarm.id", ondelete="CASCADE"))
    tenant_id: Mapped[str | None] = mapped_column(String(64), index=True)
    number: Mapped[int]
    at: Mapped[datetime]
    change: Mapped[Change] = mapped_column(Word(Change))
    before: Mapped[Phase] = mapped_column(Word(Phase))
    after: Mapped[Phase] = mapped_column(Word(Phase))
    severity_before: Mapped[Severity | None] = mapped_column(Code(Severity))
    severity_after: Mapped[Severity | None] = mapped_column(Code(Severity))
    reason: Mapped[str] = mapped_column(String(1024), default="")
    reason_data: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    actor: Mapped[str] = mapped_column(String(64), default="system")
    actor_role: Mapped[Role | None] = mapped_column(Word(Role))
    fence: Mapped[int] = mapped_column(BigInteger, default=0)


class Outbox(Row):
    """One announcement for one receiver; `payload` is the whole message. `key` is sent along as the idempotency key.

    Rows of one alarm and receiver leave in the order of `id`; a dead one lets the next go.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_waiting", "receiver", "next_try_at", sqlite_where=_WAITING, postgresql_where=_WAITING),
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    key: Mapped[str] = mapped_column(String(192), unique=True)
    alarm_id: Mapped[str] = mapped_column(ForeignKey("alarm.id", ondelete="CASCADE"), index=True)
    receiver: Mapped[str] = mapped_column(String(64))
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime]
    next_try_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    lease_owner: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    dead_at: Mapped[datetime | None]
    last_error: Mapped[str] = mapped_column(String(512), default="")


class MaintenanceWindow(Row):
    """When whose notifications wait. One-off: `starts_at`, `ends_at`. Recurring: `weekdays` (a set of 1-7, Monday is
    1, as digits), local `start_time` (`HH:MM`), `minutes` and `zone`, between the optional `starts_at` and
    `ends_at`.

    `matchers` is an object of lists (`tenant`, `host`, `vm`, `severity`, `rule`): all named kinds must match, one
    entry of each.
    """

    __tablename__ = "maintenance_window"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(64), default="")
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    weekdays: Mapped[str] = mapped_column(String(7), default="")
    start_time: Mapped[str] = mapped_column(String(5), default="")
    minutes: Mapped[int] = mapped_column(default=0)
    zone: Mapped[str] = mapped_column(String(64), default="UTC")
    matchers: Mapped[dict[str, list[str]]] = mapped_column(JSON, default=dict)
