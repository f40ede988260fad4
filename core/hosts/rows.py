"""Table of physical hosts."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum, StrEnum

from sqlalchemy import String
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


class Host(Row):
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
