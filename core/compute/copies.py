"""What backups and snapshots have in common: how they are asked for, described and shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from annotated_types import MaxLen, MinLen

from core.compute.copy_rows import Backup, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateCopy:
    vm_id: Annotated[str, MaxLen(64)]
    name: Annotated[str, MinLen(1), MaxLen(128)]
    description: Annotated[str, MaxLen(1024)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedCopy:
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRef:
    """One backup or snapshot."""

    id: Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeCopy:
    """What is not given stays; an empty description clears it."""

    id: Annotated[str, MaxLen(64)]
    description: Annotated[str, MaxLen(1024)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyDetails:
    """`enabled`: it is complete, and its VM can be what it was."""

    id: str
    name: str
    description: str
    vm_id: str
    created_at: datetime
    enabled: bool


def details(found: Iterable[Backup | Snapshot]) -> tuple[CopyDetails, ...]:
    return tuple(
        CopyDetails(
            id=one.id, name=one.name, description=one.description, vm_id=one.vm_id, created_at=one.created_at,
            enabled=one.enabled,
        )
        for one in found
    )  # fmt: skip


def change(copy: Backup | Snapshot, want: ChangeCopy) -> None:
    if want.description is not None:
        copy.description = want.description
