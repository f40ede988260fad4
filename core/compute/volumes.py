"""Free volumes: disks of the platform that hang on no VM, for container platforms to mount.

What mounts a volume is a Ceph user of this volume alone. Its key is made here, not by the cluster: the answer that
shows it, once, does not wait for a hypervisor, and whatever repeats the task gives the user the same key again. Until
the task has carried it out, the key opens nothing; when the volume goes, its user and key go with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

from annotated_types import Ge, Le, MaxLen, MinLen
from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.compute import ceph_keys, operations
from core.compute.rows import Disk
from core.context import Context, Started
from core.db.guarded import written
from core.db.search import exactly, only
from core.drivers.compute import VolumeWish
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
    """How to mount it: empty where its storage is not Ceph. `key`, `user`: of the Ceph user that may use this volume
    and nothing else, `user` without the `client.` before it; a volume for VMs has none. The image has the volume's
    id for its name."""

    key: str
    user: str
    pool: str
    monitors: str
    id: str


def create(at: Context, want: CreateVolume) -> tuple[CreatedVolume, ...]:
    """It is made in the background, and gone again should that fail; its key is shown here and never again. Raises
    NotFound; Conflict when the storage does not fit."""
    storage = only(at.session, select(Storage).where(*exactly(Storage.id, want.storage_id)), "storage", want.storage_id)
    if want.use is VolumeUse.VOLUME and storage.type is not StorageType.CEPH:
        raise Conflict("storage", storage.id, "is not Ceph: container platforms cannot mount its volumes")
    if storage.host_id is None or not operations.driver(at).capabilities.volumes:
        raise Conflict("storage", storage.id, "makes no free volumes")
    id_, now = new_id("disk"), at.clock.now()
    key = ceph_keys.new_key(now) if want.use is VolumeUse.VOLUME else None
    arguments: dict[str, Argument] = {"host": storage.host_id, "size_gb": want.size_gb}
    queue.submit(at, CREATE, id_, None, arguments)
    at.session.add(
        Disk(
            id=id_, name=want.name, description=want.description, created_at=now, size_gb=want.size_gb,
            storage_id=storage.id, ceph_key=None if key is None else sealing_keys(at.settings).seal(key, _place(id_)),
        )
    )  # fmt: skip
    at.session.flush()
    user = "" if key is None else id_
    return (CreatedVolume(key=key or "", user=user, pool=storage.ceph_pool, monitors=storage.ceph_monitors, id=id_),)


def delete(at: Context, volume: Disk) -> Started[None]:
    """Raises Conflict when nothing here could do it."""
    operations.driver(at)
    storage = at.session.get_one(Storage, volume.storage_id)
    return Started(queue.submit(at, DELETE, volume.id, None, {"host": storage.host_id}), None)


def _create(task: TaskContext) -> Write:
    volume_id = task.task.object_id
    with task.read() as session:
        sealed = session.scalar(select(Disk.ceph_key).where(Disk.id == volume_id))
    key = None if sealed is None else sealing_keys(task.settings).open(sealed, _place(volume_id))
    wish = VolumeWish(id=volume_id, size_gb=task.task.number("size_gb"), ceph_key=key)
    task.driver.ensure_volume(task.task.text("host"), wish)
    return lambda _session: None


def _remove(task: TaskContext) -> Write:
    task.driver.ensure_volume_gone(task.task.text("host"), task.task.object_id)
    return lambda session: _forget(session, task.task)


def _forget(session: Session, task: TaskFacts) -> None:
    gone = sql_delete(Disk).where(Disk.id == task.object_id)
    written(session, gone)


def _place(volume_id: str) -> Place:
    return Place("disk", "ceph_key", volume_id)


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
