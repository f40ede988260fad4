"""The port to whatever runs virtual machines: the simulation, or libvirt on real hosts.

Every method says how the world shall be ("ensure"), not what to do: called twice, or again after a crash in the middle,
it leaves the same world. That is what lets recovery repeat a step whose end nobody saw. The control plane decides
(quota, size, place, addresses, who may) and the driver carries out: it checks nothing of that again.

Calls come from many threads. The driver runs those on one VM one after another, and bounds each in time: no method
blocks for ever, whatever a hypervisor does. Long ones look at their `Watch` about once a second, and when they are to
stop they take back what they began and raise `Stopped`.

What real hypervisors cannot do is said by `Capabilities`, as data, so that an operation is refused before its task
starts. What went wrong is one of the `DriverFault`s: they tell whether the world is known afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Protocol


@dataclass(eq=False)
class DriverFault(Exception):
    """`reason` is for those who run the cloud: what was asked of whom, and what it said, hosts and addresses included.
    `public` is what everybody may read."""

    reason: str
    public: ClassVar[str] = "its hypervisor did not do it"

    def __str__(self) -> str:
        return self.reason

    @property
    def inside(self) -> str:
        return self.reason


class Refused(DriverFault):
    """The hypervisor said no, or the VM is not as the call needs it. Nothing was changed."""

    public = "its hypervisor refused it"


class GuestSilent(DriverFault):
    """The guest did not do in time what only it can do: shut down, reboot, change a password. Nothing was forced."""

    public = "its guest system did not do it in time"


class Unreachable(DriverFault):
    """No answer, or one that came too late: what became of the call is unknown until `report` tells."""

    public = "its hypervisor does not answer"


class Stopped(DriverFault):
    """The watch asked to stop, and everything is as it was before the call."""

    public = "it was stopped"


class Watch(Protocol):
    """How a long call tells where it is, and learns that nobody waits for it any more."""

    def progress(self, percent: float) -> None:
        """0-100 of this call; cheap, may be called often."""
        ...

    def stopping(self) -> bool:
        """True: somebody cancelled, or the time is up. Take back what was begun, then raise Stopped."""
        ...


class Power(StrEnum):
    OFF = "off"
    ON = "on"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a driver can do beyond what all can. An operation that needs more is refused before its task starts, naming
    what is missing.

    `grow_vcpus_live`, `grow_memory_live`: up to the wish's `largest_*`: the VM was defined with room to grow. Shrinking
    always needs a stopped VM (removing a vCPU from a running one kills it later, QEMU 7.2). `nested`: VMs may run
    inside VMs.
    """

    grow_vcpus_live: bool = False
    grow_memory_live: bool = False
    hotplug_disks: bool = True
    hotplug_nics: bool = True
    extend_disks_live: bool = True
    snapshot_running: bool = True
    revert_running: bool = True
    backup_running: bool = True
    backup_stopped: bool = True
    guest_passwords: bool = True
    vnc_passwords: bool = True
    volumes: bool = True
    nested: bool = True


@dataclass(frozen=True, slots=True)
class VmAt:
    """A VM on the host where it is, or is to be."""

    host_id: str
    vm_id: str


@dataclass(frozen=True, slots=True)
class FromImage:
    """`image` is the name by which the dictionary of models knows it."""

    image: str


@dataclass(frozen=True, slots=True)
class FromVm:
    """A clone of a template: the disks of the wish with a device that the template has are copies of its disks, larger
    where the wish is; the others are new and empty. The clone depends on the template no more when it is complete.

    The template must not run meanwhile; it may be on another host when the driver shares storage.
    """

    template: VmAt


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskWish:
    """`device` as exporters name it (`vda`). `volume_id`: an existing free volume to use instead of a new one."""

    id: str
    device: str
    size_gb: int
    is_system: bool = False
    volume_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NicWish:
    """`device` is the name of the interface on the host; `network_id` the subnet it is plugged into, if any."""

    id: str
    device: str
    mac: str
    ip: str = ""
    network_id: str | None = None
    position: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeWish:
    """A disk that hangs on no VM. `ceph_key`: of the Ceph user that may use this volume and nothing else, named after
    it; None: there is no such user. Never in a repr."""

    id: str
    size_gb: int
    ceph_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class VmWish:
    """`largest_*`: how far the VM may grow while it runs; 0: not at all. `nested`: its CPU can run VMs inside it.
    Passwords are never in a repr."""

    vm_id: str
    tenant_id: str
    name: str
    domain_uuid: str
    source: FromImage | FromVm
    vcpus: int
    memory_mb: int
    largest_vcpus: int = 0
    largest_memory_mb: int = 0
    disks: tuple[DiskWish, ...] = ()
    nics: tuple[NicWish, ...] = ()
    nested: bool = False
    admin_password: str | None = field(default=None, repr=False)
    vnc_password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFacts:
    id: str
    device: str
    size_gb: int
    is_system: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NicFacts:
    id: str
    device: str
    mac: str
    network_id: str | None = None
    position: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VmFacts:
    """What is true of a VM now. `complete` False: its creation was begun and did not end; only `ensure_vm` with the
    same wish and `ensure_gone` help. `snapshots`: ids, oldest first."""

    vm_id: str
    domain_uuid: str
    power: Power
    vcpus: int
    memory_mb: int
    complete: bool = True
    nested: bool = False
    disks: tuple[DiskFacts, ...] = ()
    nics: tuple[NicFacts, ...] = ()
    snapshots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What a host has in all, used or not. `storage_gb`: of the pool that its VMs' disks come from."""

    cpu_cores: int
    memory_mb: int
    storage_gb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReport:
    """Everything that the control plane may find on one host."""

    host: HostFacts
    vms: Mapping[str, VmFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFacts:
    """`size_gb` is what it takes on its storage, rounded up."""

    backup_id: str
    size_gb: int


@dataclass(frozen=True, slots=True)
class VncEndpoint:
    """Where a VNC client inside the control plane reaches the VM's console."""

    host: str
    port: int


class ComputeDriver(Protocol):
    """`Refused`, `Unreachable` may be raised by every method; what else may be is said beside it."""

    @property
    def capabilities(self) -> Capabilities: ...

    def hosts(self) -> Collection[str]:
        """The ids of the hosts that this driver speaks for, reachable or not. Other hosts take none of its VMs."""
        ...

    def report(self, host_ids: Collection[str]) -> Mapping[str, HostReport]:
        """What is true on these hosts, asked all at once. A host that does not answer is absent: nothing is known
        about it, and that is not the same as having no VMs. Never raises Unreachable."""
        ...

    def look(self, at: VmAt) -> VmFacts | None:
        """What is true of one VM; None: the host answered, and it is not there. Raises Unreachable otherwise."""
        ...

    # -- existence

    def ensure_vm(self, host_id: str, wish: VmWish, watch: Watch) -> VmFacts:
        """The VM exists on the host, complete and switched off; a half-made one is made whole. One that exists
        already keeps its size and power. Raises Stopped: nothing of it is left."""
        ...

    def ensure_gone(self, at: VmAt) -> None:
        """The VM, its own disks and its snapshots are not there, whatever state it was in. Its backups stay."""
        ...

    # -- power

    def ensure_on(self, at: VmAt) -> None:
        """It runs; a paused one goes on."""
        ...

    def ensure_off(self, at: VmAt) -> None:
        """It does not run: power is cut if need be."""
        ...

    def ensure_shut_down(self, at: VmAt, within: float, watch: Watch) -> None:
        """The guest is asked to shut down and does not run when this returns. GuestSilent after `within` seconds, and
        the guest is left to itself: it may still go down later."""
        ...

    def reboot(self, at: VmAt, within: float, watch: Watch) -> None:
        """The guest is restarted from inside. GuestSilent after `within` seconds. The one call that is an event and
        not a state: repeated, it reboots again."""
        ...

    # -- size, passwords, console

    def ensure_size(self, at: VmAt, vcpus: int, memory_mb: int) -> VmFacts:
        """Live where `capabilities` allow it, otherwise the VM must be off (Refused)."""
        ...

    def set_admin_password(self, at: VmAt, user: str, password: str) -> None:
        """In the running guest, through its agent. Raises GuestSilent when it does not answer."""
        ...

    def wake_agent(self, at: VmAt, within: float, watch: Watch) -> None:
        """The agent in the running guest answers, woken if need be. GuestSilent after `within` seconds."""
        ...

    def set_vnc_password(self, at: VmAt, password: str) -> None:
        """At most 8 characters: the protocol knows no more. Open consoles stay open."""
        ...

    def vnc(self, at: VmAt) -> VncEndpoint:
        """Of a running VM. It changes whenever the VM is started or reverted: ask each time."""
        ...

    # -- disks and NICs

    def ensure_disk(self, at: VmAt, wish: DiskWish) -> DiskFacts:
        """The disk exists and hangs on the VM. A volume is attached as it is, whatever `size_gb` says."""
        ...

    def ensure_disk_gone(self, at: VmAt, disk_id: str, *, keep: bool = False) -> None:
        """It hangs on the VM no more; `keep`: it lives on as a free volume with the same id."""
        ...

    def ensure_disk_size(self, at: VmAt, disk_id: str, size_gb: int) -> DiskFacts:
        """At least `size_gb`: a driver never shrinks a disk."""
        ...

    def ensure_volume(self, host_id: str, wish: VolumeWish) -> None:
        """A free volume on the storage of the host, and its user, whose key is that of the wish.

        On Ceph it is an RBD image of the volume's name, and the user `client.<volume id>`. A keyring with the key and
        these capabilities is given to `ceph auth import`, which adds a user or updates the one there is, so that it may
        be repeated. `<image>` is the id that `rbd info` tells; the dot at the end keeps longer ids out:

            mon 'profile rbd'
            osd 'allow rwx pool=<pool> object_prefix rbd_data.<image>., allow rwx pool=<pool> object_prefix
                 rbd_header.<image>, allow rwx pool=<pool> object_prefix rbd_object_map.<image>, allow rx pool=<pool>
                 object_prefix rbd_id.<volume id>, allow class rbd metadata_list pool=<pool> object_prefix rbd_info'

        A `profile rbd` of OSDs would open all images of the pool: it takes a pool and a namespace, and no
        `object_prefix` (Ceph documentation, User Management: "Authorization (Capabilities)", "Import a User").
        """
        ...

    def ensure_volume_gone(self, host_id: str, volume_id: str) -> None:
        """Neither the volume nor its user is there. The user goes first (`ceph auth del`): whoever has the volume
        mounted loses it."""
        ...

    def ensure_nic(self, at: VmAt, wish: NicWish) -> NicFacts:
        """The NIC exists, plugged in as wished; one that exists is re-plugged into the wished network."""
        ...

    def ensure_nic_gone(self, at: VmAt, nic_id: str) -> None: ...

    # -- snapshots and backups

    def ensure_snapshot(self, at: VmAt, snapshot_id: str, watch: Watch) -> None:
        """Disks, and memory when it runs. The VM stands still meanwhile."""
        ...

    def revert(self, at: VmAt, snapshot_id: str, watch: Watch) -> VmFacts:
        """Disks, memory and hardware are those of the snapshot: write the facts into the inventory. Consoles drop."""
        ...

    def ensure_snapshot_gone(self, at: VmAt, snapshot_id: str) -> None:
        """The VM and other snapshots do not change."""
        ...

    def ensure_backup(self, at: VmAt, backup_id: str, watch: Watch) -> BackupFacts:
        """A full copy of all disks, apart from the VM: it survives it. Raises Stopped: nothing of it is left."""
        ...

    def restore(self, at: VmAt, backup_id: str, watch: Watch) -> VmFacts:
        """The disks of a stopped VM are those of the backup; its snapshots are gone. Stopped midway it is not whole,
        and restoring again heals it."""
        ...

    def ensure_backups_gone(self, host_id: str, backup_ids: Sequence[str]) -> None: ...
