"""Tables of what the network driver has to bring about: nodes, and the rules that are not in effect on them yet.

A node is a router or a NIC. What it should be is not here: it is compiled from the other tables whenever it is applied
(`core.network.reading`). Here is only which generation of it is wanted, and which one the driver has confirmed. A node
keeps no foreign key to its router or NIC: it outlives them, until the driver has removed it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.types import Row, TenantOwned, Word

_UNCONFIRMED = text("wanted <> confirmed")


class NodeType(StrEnum):
    """A router covers its networks' addresses, NAT, boundary rules, load balancers, DHCP and DNS; a NIC its
    anti-spoofing, security groups and inner rules."""

    ROUTER = "router"
    NIC = "nic"


class NetworkNode(Row, TenantOwned):
    """`wanted` grows with every change of intent; `confirmed` is the generation that the driver said it has, 0: none.

    `gone`: its object was deleted; once the driver has confirmed the removal, the row goes, too. `host_id`: where the
    confirmed generation is. `attempts`: failures since the last success or change; `next_try_at` NULL: at once.
    `lease_*`: which server works on it, and until when nobody else does.
    """

    __tablename__ = "network_node"
    __table_args__ = (
        Index(
            "ix_network_node_due", "next_try_at",
            sqlite_where=_UNCONFIRMED, postgresql_where=_UNCONFIRMED,
        ),
        UniqueConstraint("tenant_id", "type", "id"),
        CheckConstraint("confirmed <= wanted", name="confirmed_was_wanted"),
    )  # fmt: skip

    type: Mapped[NodeType] = mapped_column(Word(NodeType), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    wanted: Mapped[int] = mapped_column(default=1)
    confirmed: Mapped[int] = mapped_column(default=0)
    gone: Mapped[bool] = mapped_column(default=False)
    host_id: Mapped[str | None] = mapped_column(String(64), index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime | None]
    last_failure: Mapped[str] = mapped_column(Text, default="")
    lease_owner: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[datetime | None]


class PendingRule(Row, TenantOwned):
    """A rule that was made, changed or deleted, and whose NIC is not yet as it says: the node has not confirmed
    `generation`. Gone when it has.

    `id` is the issue's, and sortable by age. The node is that of the NIC itself, or of the router that enforces the
    rule for it. `group_id`: the security group that the rule is or was of, None for an access rule. `retries`: how
    often applying the node failed since.
    """

    __tablename__ = "pending_rule"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "node_type", "node_id"],
            ["network_node.tenant_id", "network_node.type", "network_node.id"],
        ),
        UniqueConstraint("node_type", "node_id", "rule_id", "nic_id"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    node_type: Mapped[NodeType] = mapped_column(Word(NodeType))
    node_id: Mapped[str] = mapped_column(String(64))
    rule_id: Mapped[str] = mapped_column(String(64), index=True)
    nic_id: Mapped[str] = mapped_column(String(64), index=True)
    group_id: Mapped[str | None] = mapped_column(String(64), index=True)
    generation: Mapped[int]
    retries: Mapped[int] = mapped_column(default=0)
