"""Tables of what filters traffic: access rules of NICs, and security groups with their rules and members.

A NIC is in a group once or not: the primary key of `group_member` is the referee. Rules and members belong to the
tenant of what they filter: the composite foreign keys refuse anything else.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, ForeignKeyConstraint, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db.types import Row, TenantOwned, Word
from core.network.traffic import LONGEST_LIST, Direction, Protocol


class Boundary(StrEnum):
    """Where an access rule is enforced: by the router of the NIC's network while its gate is open (`Vpc.gate_open`), or
    on the NIC itself while the firewall of its VM is enabled (`Vm.firewall_enabled`)."""

    NETWORK = "network"
    NIC = "nic"


class AccessRule(Row, TenantOwned):
    """What may reach the NIC (`in`) or be reached from it (`out`). `vpc_id` is the NIC's network, None without one.

    `ports` (`PortSet`), `sources`, `targets` (`Blocks`) are their canonical texts, empty: any. The address of the NIC
    stands on its own side: in `targets` of what comes in, in `sources` of what goes out. `protocol` None: any.
    """

    __tablename__ = "access_rule"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "nic_id"], ["nic.tenant_id", "nic.id"]),
        ForeignKeyConstraint(["tenant_id", "vpc_id"], ["vpc.tenant_id", "vpc.id"]),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    nic_id: Mapped[str] = mapped_column(String(64), index=True)
    vpc_id: Mapped[str | None] = mapped_column(String(64), index=True)
    created_at: Mapped[datetime]
    description: Mapped[str] = mapped_column(String(1024), default="")
    boundary: Mapped[Boundary] = mapped_column(Word(Boundary))
    direction: Mapped[Direction] = mapped_column(Word(Direction))
    protocol: Mapped[Protocol | None] = mapped_column(Word(Protocol))
    ports: Mapped[str] = mapped_column(String(LONGEST_LIST), default="")
    sources: Mapped[str] = mapped_column(String(LONGEST_LIST), default="")
    targets: Mapped[str] = mapped_column(String(LONGEST_LIST), default="")

    @property
    def peers(self) -> str:
        """The other side."""
        return self.sources if self.direction is Direction.IN else self.targets


class SecurityGroup(Row, TenantOwned):
    """Who changes its rules or members locks this row first (`core.network.groups`)."""

    __tablename__ = "security_group"
    __table_args__ = (UniqueConstraint("tenant_id", "id"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    name: Mapped[str] = mapped_column(String(128), index=True)
    description: Mapped[str] = mapped_column(String(1024), default="")
    created_at: Mapped[datetime]


class GroupRule(Row, TenantOwned):
    """What the members of the group allow. `peers`: the sources of what comes in, the targets of what goes out.

    `ports` (`PortSet`) and `peers` (`Blocks`) are canonical texts, empty: any. `protocol` None: any.
    """

    __tablename__ = "group_rule"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "group_id"], ["security_group.tenant_id", "security_group.id"]),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    group_id: Mapped[str] = mapped_column(String(64), index=True)
    created_at: Mapped[datetime]
    direction: Mapped[Direction] = mapped_column(Word(Direction))
    protocol: Mapped[Protocol | None] = mapped_column(Word(Protocol))
    ports: Mapped[str] = mapped_column(String(LONGEST_LIST), default="")
    peers: Mapped[str] = mapped_column(String(LONGEST_LIST), default="")


class GroupMember(Row, TenantOwned):
    """A NIC in a group."""

    __tablename__ = "group_member"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "group_id"], ["security_group.tenant_id", "security_group.id"]),
        ForeignKeyConstraint(["tenant_id", "nic_id"], ["nic.tenant_id", "nic.id"]),
    )

    group_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    nic_id: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
