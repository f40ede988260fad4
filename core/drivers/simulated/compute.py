"""The ComputeDriver of the simulated data centre: what `machines` does at once takes its time here, can be stopped, and
fails on demand.

The races: calls on one VM are run one after another by a lock per VM; the fleet itself has one owner, to whom every
deed is handed (`World`). The worst moment is a death while something takes its time: a VM under creation stands in the
fleet as not complete, everything else has not begun.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar

from core.drivers.compute import (
    BackupFacts,
    Capabilities,
    DiskFacts,
    DiskWish,
    FromImage,
    FromVm,
    GuestSilent,
    HostFacts,
    HostReport,
    NicFacts,
    NicWish,
    Stopped,
    Unreachable,
    VmAt,
    VmFacts,
    VmWish,
    VncEndpoint,
    VolumeWish,
    Watch,
)
from core.drivers.compute import Refused as RefusedByDriver
from core.drivers.simulated import copies, machines
from core.drivers.simulated.faults import Deed
from core.drivers.simulated.fleet import Fleet

T = TypeVar("T")
Act = Callable[[Fleet, float], T]
"""Something done to a fleet, or asked of it, at a moment."""

LOOPBACK: Final = "127.0.0.1"
_FIRST_VNC_PORT: Final = 5900
_LOOK_EVERY: Final = 0.5
_SHARES: Final[Mapping[Deed, float]] = {
    Deed.CREATE: 1.0,
    Deed.CLONE: 0.2,
    Deed.DELETE: 0.3,
    Deed.START: 0.4,
    Deed.STOP: 0.1,
    Deed.SHUT_DOWN: 0.8,
    Deed.REBOOT: 1.2,
    Deed.RESIZE: 0.1,
    Deed.PASSWORD: 0.05,
    Deed.AGENT: 0.1,
    Deed.DISK: 0.2,
    Deed.NIC: 0.1,
    Deed.SNAPSHOT: 0.5,
    Deed.REVERT: 0.5,
    Deed.BACKUP: 1.5,
    Deed.RESTORE: 1.5,
}
"""How long a deed takes, where creating a VM takes 1. A clone takes longer the larger its template is."""
_SHARE_OF_GB: Final = 0.01
"""How much longer a clone takes for each GB of its template."""
_OF_GUESTS: Final = {Deed.SHUT_DOWN, Deed.REBOOT, Deed.PASSWORD, Deed.AGENT}


class World(Protocol):
    """The owner of a fleet: acts are run one at a time, and what `change` did is durable when it returns."""

    def change(self, act: Act[T]) -> T: ...

    def ask(self, act: Act[T]) -> T: ...


class Consoles(Protocol):
    """What serves the consoles of VMs."""

    def seal(self, vm_id: str, password: str) -> str:
        """A password as the fleet may keep it."""
        ...

    def open(self, at: VmAt) -> VncEndpoint:
        """Somebody listens there until the VM does not run any more."""
        ...


class _Unwatched:
    """Of calls that take no watch: they are short."""

    def progress(self, percent: float) -> None:
        """Nobody listens."""

    def stopping(self) -> bool:
        return False


class _VmLock:
    """One at a time on a VM; gone when nobody holds it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class SimulatedCompute:
    """`seconds`: how long creating a VM takes; everything else in proportion, 0: nothing takes any time. `consoles`
    None: VMs have ports for theirs, and nobody listens there."""

    capabilities = Capabilities(grow_vcpus_live=True, grow_memory_live=True)

    def __init__(self, world: World, seconds: float, consoles: Consoles | None = None) -> None:
        self._world = world
        self._consoles = consoles
        self._seconds = seconds
        self._guard = threading.Lock()
        self._locks: weakref.WeakValueDictionary[str, _VmLock] = weakref.WeakValueDictionary()

    # --- what is true

    def hosts(self) -> Collection[str]:
        return self._world.ask(lambda fleet, _: tuple(host.id for host in fleet.centre.hosts))

    def report(self, host_ids: Collection[str]) -> Mapping[str, HostReport]:
        def tell(fleet: Fleet, _: float) -> Mapping[str, HostReport]:
            hosts = [host for host in fleet.centre.hosts if host.id in set(host_ids) and answers(fleet, host.id)]
            return {host.id: _report(fleet, host.index) for host in hosts}

        return self._world.ask(tell)

    def look(self, at: VmAt) -> VmFacts | None:
        def tell(fleet: Fleet, _: float) -> VmFacts | None:
            vm = machines.find(fleet, at)
            return None if vm is None else machines.facts(fleet, vm)

        return self._world.ask(_reached(at, tell))

    # --- existence

    def ensure_vm(self, host_id: str, wish: VmWish, watch: Watch) -> VmFacts:
        at = VmAt(host_id, wish.vm_id)
        with self._turn(at):
            known = self.look(at)
            if known is not None and known.complete:
                return known
            deed = Deed.CLONE if isinstance(wish.source, FromVm) else Deed.CREATE
            self._world.change(_allowed(deed, at, lambda fleet, now: machines.begin(fleet, host_id, wish, now)))
            if wish.vnc_password is not None:
                self._world.change(self._with_password(at, wish.vnc_password))
            try:
                self._take_time(self._seconds_of(deed, wish.source), watch)
            except Stopped:
                self._world.change(lambda fleet, now: machines.remove(fleet, at, now))
                raise
            return self._world.change(_allowed(deed, at, lambda fleet, _: machines.complete(fleet, at)))

    def ensure_gone(self, at: VmAt) -> None:
        self._clear(
            Deed.DELETE, at, lambda fleet, _: machines.is_whole(fleet, at),
            lambda fleet, now: machines.remove(fleet, at, now),
        )  # fmt: skip

    # --- power

    def ensure_on(self, at: VmAt) -> None:
        self._do(Deed.START, at, lambda fleet, now: machines.switch(fleet, at, on=True, now=now))

    def ensure_off(self, at: VmAt) -> None:
        self._do(Deed.STOP, at, lambda fleet, now: machines.switch(fleet, at, on=False, now=now))

    def ensure_shut_down(self, at: VmAt, within: float, watch: Watch) -> None:
        self._ask_guest(
            Deed.SHUT_DOWN, at, within, watch, lambda fleet, now: machines.switch(fleet, at, on=False, now=now)
        )

    def reboot(self, at: VmAt, within: float, watch: Watch) -> None:
        self._ask_guest(Deed.REBOOT, at, within, watch, lambda fleet, now: machines.reboot(fleet, at, now))

    # --- size, passwords, console

    def ensure_size(self, at: VmAt, vcpus: int, memory_mb: int) -> VmFacts:
        return self._do(Deed.RESIZE, at, lambda fleet, now: machines.resize(fleet, at, vcpus, memory_mb, now))

    def set_admin_password(self, at: VmAt, user: str, password: str) -> None:  # noqa: ARG002 (nobody can log in)
        self._do(Deed.PASSWORD, at, lambda fleet, _: machines.running(fleet, at))

    def wake_agent(self, at: VmAt, within: float, watch: Watch) -> None:
        self._ask_guest(Deed.AGENT, at, within, watch, lambda fleet, _: machines.running(fleet, at))

    def set_vnc_password(self, at: VmAt, password: str) -> None:
        self._do(Deed.CONSOLE, at, self._with_password(at, password))

    def vnc(self, at: VmAt) -> VncEndpoint:
        index = self._world.ask(_allowed(Deed.CONSOLE, at, lambda fleet, _: machines.running(fleet, at).index))
        if self._consoles is None:
            return VncEndpoint(LOOPBACK, _FIRST_VNC_PORT + index % 10_000)
        return self._consoles.open(at)

    def _with_password(self, at: VmAt, password: str) -> Act[None]:
        sealed = None if self._consoles is None else self._consoles.seal(at.vm_id, password)
        return lambda fleet, _: machines.set_console(fleet, at, sealed)

    # --- disks and NICs

    def ensure_disk(self, at: VmAt, wish: DiskWish) -> DiskFacts:
        return self._do(Deed.DISK, at, lambda fleet, _: machines.attach(fleet, at, wish))

    def ensure_disk_gone(self, at: VmAt, disk_id: str, *, keep: bool = False) -> None:
        self._clear(
            Deed.DISK, at, lambda fleet, _: machines.has_disk(fleet, at, disk_id),
            lambda fleet, _: machines.detach(fleet, at, disk_id, keep=keep),
        )  # fmt: skip

    def ensure_disk_size(self, at: VmAt, disk_id: str, size_gb: int) -> DiskFacts:
        return self._do(Deed.DISK, at, lambda fleet, _: machines.extend(fleet, at, disk_id, size_gb))

    def ensure_volume(self, host_id: str, wish: VolumeWish) -> None:
        at = VmAt(host_id, wish.id)
        self._do(Deed.DISK, at, lambda fleet, _: machines.create_volume(fleet, host_id, wish))

    def ensure_volume_gone(self, host_id: str, volume_id: str) -> None:
        self._clear(
            Deed.DISK, VmAt(host_id, volume_id), lambda fleet, _: volume_id in fleet.records.volumes,
            lambda fleet, _: machines.remove_volume(fleet, volume_id),
        )  # fmt: skip

    def ensure_nic(self, at: VmAt, wish: NicWish) -> NicFacts:
        return self._do(Deed.NIC, at, lambda fleet, _: machines.plug(fleet, at, wish))

    def ensure_nic_gone(self, at: VmAt, nic_id: str) -> None:
        self._clear(
            Deed.NIC, at, lambda fleet, _: machines.has_nic(fleet, at, nic_id),
            lambda fleet, _: machines.unplug(fleet, at, nic_id),
        )  # fmt: skip

    # --- snapshots and backups

    def ensure_snapshot(self, at: VmAt, snapshot_id: str, watch: Watch) -> None:
        self._do(Deed.SNAPSHOT, at, lambda fleet, now: copies.snapshot(fleet, at, snapshot_id, now), watch)

    def revert(self, at: VmAt, snapshot_id: str, watch: Watch) -> VmFacts:
        return self._do(Deed.REVERT, at, lambda fleet, now: copies.revert(fleet, at, snapshot_id, now), watch)

    def ensure_snapshot_gone(self, at: VmAt, snapshot_id: str) -> None:
        self._clear(
            Deed.SNAPSHOT, at, lambda fleet, _: copies.has_snapshot(fleet, at, snapshot_id),
            lambda fleet, _: copies.remove_snapshot(fleet, at, snapshot_id),
        )  # fmt: skip

    def ensure_backup(self, at: VmAt, backup_id: str, watch: Watch) -> BackupFacts:
        size = self._do(Deed.BACKUP, at, lambda fleet, now: copies.back_up(fleet, at, backup_id, now), watch)
        return BackupFacts(backup_id=backup_id, size_gb=size)

    def restore(self, at: VmAt, backup_id: str, watch: Watch) -> VmFacts:
        return self._do(Deed.RESTORE, at, lambda fleet, now: copies.restore(fleet, at, backup_id, now), watch)

    def ensure_backups_gone(self, host_id: str, backup_ids: Sequence[str]) -> None:
        at = VmAt(host_id, "")
        if self._world.ask(_reached(at, lambda fleet, _: copies.has_backups(fleet, backup_ids))):
            self._world.change(_allowed(Deed.BACKUP, at, lambda fleet, _: copies.remove_backups(fleet, backup_ids)))

    # --- how it goes

    def _do(self, deed: Deed, at: VmAt, act: Act[T], watch: Watch | None = None) -> T:
        """Asked first and again when the time has passed: the host may have died meanwhile."""
        with self._turn(at):
            return self._carry_out(deed, at, act, watch or _Unwatched())

    def _clear(self, deed: Deed, at: VmAt, is_there: Act[bool], act: Act[None]) -> None:
        """Take something away. What is not there, or never was whole, goes without an operation that could be made to
        fail: otherwise the fault that stopped a creation would stop its undoing, too, for as long as it is there."""
        with self._turn(at):
            if self._world.ask(_reached(at, is_there)):
                self._carry_out(deed, at, act, _Unwatched())
            else:
                self._world.change(_reached(at, act))

    def _carry_out(self, deed: Deed, at: VmAt, act: Act[T], watch: Watch) -> T:
        self._world.ask(_allowed(deed, at, lambda *_: None))
        self._take_time(self._seconds_of(deed), watch)
        return self._world.change(_allowed(deed, at, act))

    def _ask_guest(self, deed: Deed, at: VmAt, within: float, watch: Watch, act: Act[object]) -> None:
        if self._seconds_of(deed) > within:
            self._world.ask(_allowed(deed, at, lambda fleet, _: machines.running(fleet, at)))
            raise GuestSilent(f"{at.vm_id} did not do it within {within:g} seconds")
        self._do(deed, at, act, watch)

    def _seconds_of(self, deed: Deed, source: FromImage | FromVm | None = None) -> float:
        share = _SHARES.get(deed, 0.0)
        if isinstance(source, FromVm):
            template = source.template
            share += _SHARE_OF_GB * self._world.ask(lambda fleet, _: machines.gigabytes(fleet, template))
        return self._seconds * share

    def _take_time(self, seconds: float, watch: Watch) -> None:
        """Raises Stopped."""
        left = whole = seconds
        pause = threading.Event()
        while left > 0:
            if watch.stopping():
                raise Stopped("it was asked to stop")
            watch.progress(100 * (1 - left / whole))
            pause.wait(min(left, _LOOK_EVERY))
            left -= _LOOK_EVERY

    @contextmanager
    def _turn(self, at: VmAt) -> Iterator[None]:
        with self._guard:
            holder = self._locks.setdefault(at.vm_id, _VmLock())
        with holder.lock:
            yield


def _allowed(deed: Deed, at: VmAt, act: Act[T]) -> Act[T]:
    """The act, unless the host does not answer or was told to fail."""

    def guarded(fleet: Fleet, now: float) -> T:
        host = fleet.directory.host(at.host_id)
        vm = machines.find(fleet, at)
        failing = fleet.host_conditions[host.index].failing
        if vm is not None:
            failing = (*failing, *fleet.vm_conditions[vm.index].failing)
        if deed in failing:
            problem = f"{at.host_id}: {deed} of {at.vm_id or 'it'} fails (fail-operation)"
            raise GuestSilent(problem) if deed in _OF_GUESTS else RefusedByDriver(problem)
        return act(fleet, now)

    return _reached(at, guarded)


def _reached(at: VmAt, act: Act[T]) -> Act[T]:
    """The act, unless the host does not answer."""

    def guarded(fleet: Fleet, now: float) -> T:
        _reach(fleet, at.host_id)
        return act(fleet, now)

    return guarded


def _reach(fleet: Fleet, host_id: str) -> None:
    if not answers(fleet, host_id):
        raise Unreachable(f"{host_id} does not answer")


def answers(fleet: Fleet, host_id: str) -> bool:
    """Whether the host can be reached."""
    condition = fleet.host_conditions[fleet.directory.host(host_id).index]
    return not (condition.crashed or condition.cut)


def _report(fleet: Fleet, host: int) -> HostReport:
    here = fleet.centre.hosts[host]
    size = HostFacts(cpu_cores=here.threads, memory_mb=here.memory_mb, storage_gb=here.store_gb)
    return HostReport(
        host=size, vms={fleet.vms[i].id: machines.facts(fleet, fleet.vms[i]) for i in fleet.residents(host)}
    )
