"""What goes with a NIC. Each part has a function of its own, in the module that made it."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.orm import Session

from core.network import backends, filters, mappings, plugging


def drop(session: Session, nic_ids: Collection[str]) -> None:
    """In the transaction in which the NICs go, before anything else of them does: this is where the locks of their
    tenants and routers are taken. Dropping what belongs to none is no error."""
    mappings.drop_of(session, nic_ids)
    backends.drop_of(session, nic_ids)
    filters.drop(session, nic_ids)
    plugging.drop(session, nic_ids)
