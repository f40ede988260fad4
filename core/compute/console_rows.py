"""The table of console tickets."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from core.db.types import Row, TenantOwned


class ConsoleTicket(Row, TenantOwned):
    """Leave to open the console of a VM once. Only the keyed hash of a ticket is kept.

    `tenant_id` is the VM's. `token_id` is that of whoever asked: one of the tenant's, or of the platform's; no foreign
    key, for tokens go with their tenant and tickets with their VM. `opened_at`: it is used up.
    """

    __tablename__ = "console_ticket"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "vm_id"], ["vm.tenant_id", "vm.id"], ondelete="CASCADE"),
    )  # fmt: skip

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(64))
    vm_id: Mapped[str] = mapped_column(String(64), index=True)
    token_id: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    opened_at: Mapped[datetime | None]
