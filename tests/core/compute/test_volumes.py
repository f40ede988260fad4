"""Free volumes: each has a Ceph user of its own, whose key is shown once and goes with it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from sqlalchemy import select

from api.simulation import storages
from core.compute import disks, volumes
from core.compute.disks import DiskRef
from core.compute.rows import Disk
from core.compute.volumes import CreatedVolume, CreateVolume, VolumeUse
from core.drivers.compute import VolumeWish
from core.drivers.simulated.compute import SimulatedCompute
from core.drivers.simulated.faults import Action, Deed, Fault
from core.errors import Conflict
from core.sealing import Place, sealing_keys
from core.tasks.rows import Task, TaskState
from tests.support.control import Control

WANT = CreateVolume(name="pv", size_gb=5, storage_id=storages.MAIN)


@pytest.fixture(autouse=True)
def _storages(control: Control) -> None:
    with control.database.platform(write=True) as session:
        storages.register(session, control.world.fleet.centre, control.clock.now())


def make(control: Control, **want: object) -> CreatedVolume:
    (made,) = control.platform(volumes.create, replace(WANT, **want))  # type: ignore[arg-type]
    return made


def users(control: Control) -> dict[str, str]:
    """What the hypervisors know: the digest of the key, by volume."""
    return {id_: volume.key_sha256 for id_, volume in control.world.fleet.records.volumes.items()}


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def endings(control: Control) -> list[TaskState]:
    with control.database.platform() as session:
        return list(session.scalars(select(Task.state).where(Task.object_type == "disk").order_by(Task.number)))


def test_each_volume_has_a_user_of_its_own_whose_key_is_told_at_once(control: Control) -> None:
    made = [make(control) for _ in range(3)]
    assert len({one.key for one in made}) == 3
    assert [one.user for one in made] == [one.id for one in made]
    assert users(control) == {}, "the hypervisors follow"
    control.settle()
    assert users(control) == {one.id: digest(one.key) for one in made}
    control.check()


def test_the_key_is_kept_sealed_for_its_own_row_alone(control: Control) -> None:
    made, other = make(control), make(control)
    with control.database.platform() as session:
        row = session.get_one(Disk, made.id)
    assert row.ceph_key is not None
    assert made.key not in row.ceph_key.text
    keys = sealing_keys(control.settings)
    assert keys.open(row.ceph_key, Place("disk", "ceph_key", made.id)) == made.key
    with pytest.raises(Exception, match="sealed for another place"):
        keys.open(row.ceph_key, Place("disk", "ceph_key", other.id))
    assert made.key not in repr(row.ceph_key)


def test_volumes_for_vms_have_no_user(control: Control) -> None:
    made = make(control, use=VolumeUse.VM)
    assert (made.key, made.user) == ("", "")
    control.settle()
    assert users(control) == {made.id: ""}
    with pytest.raises(Conflict, match="is not Ceph"):
        make(control, storage_id=storages.SECONDARY)


def test_deleting_a_volume_deletes_its_user(control: Control) -> None:
    made, other = make(control), make(control)
    control.settle()
    control.platform(disks.delete, DiskRef(id=made.id))
    control.settle()
    assert users(control) == {other.id: digest(other.key)}
    with control.database.platform() as session:
        assert session.get(Disk, made.id) is None
    control.check()


def test_a_volume_that_cannot_be_made_leaves_neither_user_nor_key(control: Control) -> None:
    control.world.inject(Fault(Action.FAIL_OPERATION, control.world.host_ids()[0], Deed.DISK))
    make(control)
    control.settle()
    assert (endings(control), users(control)) == ([TaskState.FAILED], {})
    with control.database.platform() as session:
        assert session.scalars(select(Disk)).all() == []


def test_a_death_after_the_volume_was_made_leaves_neither_user_nor_key(control: Control) -> None:
    class Dies(SimulatedCompute):
        def ensure_volume(self, host_id: str, wish: VolumeWish) -> None:
            super().ensure_volume(host_id, wish)
            raise SystemExit(wish.id)

    control.restart(Dies)
    made = make(control)
    with pytest.raises(SystemExit):
        control.settle()
    assert users(control) == {made.id: digest(made.key)}
    control.restart()
    control.settle()
    assert (endings(control), users(control)) == ([TaskState.ABORTED], {})
    control.check()
