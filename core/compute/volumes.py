"""Free volumes: disks of the platform that hang on no VM, for container platforms to mount."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

from annotated_types import Ge, Le, MaxLen, MinLen
from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.compute import operations
from core.compute.rows import Disk
from core.context import Context, Started
from core.db.guarded import written
from core.db.search import exactly, only
from core.errors import Conflict
from core.hosts.storage_rows import Storage, StorageType
from core.ids import new_id
from core.sealing import Place, sealing_keys
from core.tasks import queue
from core.tasks.claims import TaskFacts
from core.tasks.context import TaskContext
from core.tasks.kinds import Kind, Target, Write, declare, nothing_to_withdraw
from core.tasks.rows import Argument


class VolumeUse(StrEnum):
    """VOLUME: mounted by a container platform, from Ceph only."""

    VM = "vm"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVolume:
    name: Annotated[str, MinLen(1), MaxLen(128)]
    size_gb: Annotated[int, Ge(1), Le(65_536)]
    storage_id: Annotated[str, MaxLen(64)]
    description: Annotated[str, MaxLen(1024)] = ""
    use: VolumeUse = VolumeUse.VOLUME


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedVolume:
    """How to mount it: empty when its storage is not Ceph."""

    key: str
    pool: str
    monitors: str
    id: str


def create(at: Context, want: CreateVolume) -> tuple[CreatedVolume, ...]:
    """It is made in the background, and gone again should that fail. Raises NotFound; Conflict when the storage does
    not fit."""
    storage = only(at.session, select(Storage).where(*exactly(Storage.id, want.storage_id)), "storage", want.storage_id)
    if want.use is VolumeUse.VOLUME and storage.type is not StorageType.CEPH:
        raise Conflict("storage", storage.id, "is not Ceph: container platforms cannot mount its volumes")
    if storage.host_id is None or not operations.driver(at).capabilities.volumes:
        raise Conflict("storage", storage.id, "makes no free volumes")
    id_ = new_id("disk")
    arguments: dict[str, Argument] = {"host": storage.host_id, "size_gb": want.size_gb}
    queue.submit(at, CREATE, id_, None, arguments)
    at.session.add(
        Disk(
            id=id_, name=want.name, description=want.description, created_at=at.clock.now(), size_gb=want.size_gb,
            storage_id=storage.id,
        )
    )  # fmt: skip
    at.session.flush()
    key = ""
    if storage.ceph_key is not None:
        key = sealing_keys(at.settings).open(storage.ceph_key, Place("storage", "ceph_key", storage.id))
    return (CreatedVolume(key=key, pool=storage.ceph_pool, monitors=storage.ceph_monitors, id=id_),)


def delete(at: Context, volume: Disk) -> Started[None]:
    """Raises Conflict when nothing here could do it."""
    operations.driver(at)
    storage = at.session.get_one(Storage, volume.storage_id)
    return Started(queue.submit(at, DELETE, volume.id, None, {"host": storage.host_id}), None)


def _create(task: TaskContext) -> Write:
    task.driver.ensure_volume(task.task.text("host"), task.task.object_id, task.task.number("size_gb"))
    return lambda _session: None


def _remove(task: TaskContext) -> Write:
    task.driver.ensure_volume_gone(task.task.text("host"), task.task.object_id)
    return lambda session: _forget(session, task.task)


def _forget(session: Session, task: TaskFacts) -> None:
    gone = sql_delete(Disk).where(Disk.id == task.object_id)
    written(session, gone)


def _no_locks(_session: Session, _task_id: str) -> None:
    """Tasks on one volume follow each other; it needs no lock beside."""


VOLUME: Final = Target("disk", _no_locks)
CREATE: Final = declare(
    Kind(
        name="volume.create", title="create volume", target=VOLUME, run=_create, undo=_remove, withdraw=_forget,
        limit=timedelta(minutes=10),
    )
)  # fmt: skip
DELETE: Final = declare(
    Kind(
        name="volume.delete", title="delete volume", target=VOLUME, run=_remove, undo=_remove,
        withdraw=nothing_to_withdraw, limit=timedelta(minutes=10),
    )
)  # fmt: skip
