"""Every operation, in the document's order."""

from __future__ import annotations

from typing import Final

from api.operations import (
    addresses,
    alarms,
    audit,
    backends,
    backups,
    balancers,
    disks,
    groups,
    hosts,
    monitoring,
    networks,
    nics,
    quotas,
    routers,
    rules,
    snapshots,
    storages,
    tasks,
    tenants,
    vms,
)
from api.wire.operation import Section, Table

SECTIONS: Final[tuple[Section, ...]] = (
    tenants.SECTION,
    vms.SECTION,
    networks.SECTION,
    disks.SECTION,
    nics.SECTION,
    backups.SECTION,
    snapshots.SECTION,
    monitoring.SECTION,
    routers.SECTION,
    quotas.SECTION,
    addresses.SECTION,
    balancers.SECTION,
    backends.SECTION,
    hosts.SECTION,
    alarms.SECTION,
    storages.SECTION,
    groups.SECTION,
    rules.SECTION,
    tasks.SECTION,
    audit.SECTION,
)
TABLE: Final = Table(SECTIONS)
