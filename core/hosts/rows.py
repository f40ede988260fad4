"""Tables of physical hosts and of what happened to them.

`Host.fence` grows with every change of state and stands in the WHERE of every such UPDATE: of two detectors that
decide on the same row one is refused, and one that stalled and wakes up is refused too. While the state is
HA_DETECTING the row is a lock: `owner` holds it until `deadline`, under the token `fence`.
"""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum, StrEnum

from sqlalchemy import JSON, BigInteger, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from core.db.types import Code, Row, Word


class HostState(IntEnum):
    """Appendix 3 of the StarVCenter document."""

    STOPPED = 0
    RUNNING = 1
    OFFLINE = 2
    FAULT_DETECTING = -1
    HA_DETECTING = -2


class Origin(StrEnum):
    """Where a host came from: the simulator and the agent keep their own hosts up to date."""

    REGISTERED = "registered"
    LOCAL = "local"
    SIMULATED = "simulated"


class HostReason(StrEnum):
    """Why a host changed its state, or what was seen of all hosts at once."""

    HEARTBEAT_LOST = "heartbeat_lost"
    ANSWERED = "answered"
    NO_FAULT_FOUND = "no_fault_found"
    POWERED_OFF = "powered_off"
    PRESUMED_DEAD = "presumed_dead"
    FENCED = "fenced"
    FENCE_FAILED = "fence_failed"
    MAINTENANCE = "maintenance"
    VM_RESTARTED = "vm_restarted"
    VM_NOT_RESTARTED = "vm_not_restarted"
    BRAKE_ENGAGED = "brake_engaged"
    BRAKE_RELEASED = "brake_released"
    OWN_LINK_LOST = "own_link_lost"
    OWN_LINK_BACK = "own_link_back"


class Host(Row):
    """`state` and the five columns after it belong to the state machine (`core.hosts.state`); nobody else writes
    them. `storage_gb`: of the pool that its VMs' disks come from. 0: not known."""

    __tablename__ = "host"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    description: Mapped[str] = mapped_column(String(1024), default="")
    created_at: Mapped[datetime]
    origin: Mapped[Origin] = mapped_column(Word(Origin), default=Origin.REGISTERED)
    address: Mapped[str] = mapped_column(String(64), index=True)
    exporter_url: Mapped[str] = mapped_column(String(512))
    vm_exporter_url: Mapped[str | None] = mapped_column(String(512))
    state: Mapped[HostState] = mapped_column(Code(HostState), default=HostState.RUNNING)
    state_since: Mapped[datetime]
    deadline: Mapped[datetime | None]
    owner: Mapped[str | None] = mapped_column(String(64))
    fence: Mapped[int] = mapped_column(default=0)
    fence_failures: Mapped[int] = mapped_column(default=0)
    connected: Mapped[bool] = mapped_column(default=False)
    maintenance: Mapped[bool] = mapped_column(default=False)
    os_product: Mapped[str] = mapped_column(String(128), default="")
    os_bits: Mapped[int] = mapped_column(default=64)
    kernel_version: Mapped[str] = mapped_column(String(128), default="")
    hypervisor_version: Mapped[str] = mapped_column(String(128), default="")
    cpu_vendor: Mapped[str] = mapped_column(String(128), default="")
    cpu_cores: Mapped[int] = mapped_column(default=0)
    cpu_sockets: Mapped[int] = mapped_column(default=0)
    memory_mb: Mapped[int] = mapped_column(default=0)
    storage_gb: Mapped[int] = mapped_column(default=0)


class HostEvent(Row):
    """History: it outlives its host, therefore no foreign key. `host_id` NULL: about all hosts (the brake, our own
    link).

    `evidence` is what was known at that moment, as a JSON object of strings.
    """

    __tablename__ = "host_event"
    __table_args__ = (Index("ix_host_event_host_id_at", "host_id", "at"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    host_id: Mapped[str | None] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(index=True)
    from_state: Mapped[HostState | None] = mapped_column(Code(HostState))
    to_state: Mapped[HostState | None] = mapped_column(Code(HostState))
    reason: Mapped[HostReason] = mapped_column(Word(HostReason), index=True)
    urgent: Mapped[bool] = mapped_column(default=False)
    detector: Mapped[str] = mapped_column(String(64))
    evidence: Mapped[dict[str, str]] = mapped_column(JSON)
