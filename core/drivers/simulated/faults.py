"""What may be broken on purpose, what is broken now, and the refusals of what makes no sense. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NoReturn

from core.drivers.simulated.datacentre import DataCentre, SimHost, SimVm
from core.errors import Conflict, Invalid

MOUNTPOINTS = ("/", "/var/lib/libvirt/images")
"""File systems of every simulated host."""

EVERYTHING = "all"


class Deed(StrEnum):
    """What the control plane may ask for, by the names under which it can be made to fail."""

    CREATE = "create"
    CLONE = "clone"
    DELETE = "delete"
    START = "start"
    STOP = "stop"
    SHUT_DOWN = "shut-down"
    REBOOT = "reboot"
    RESIZE = "resize"
    PASSWORD = "password"  # noqa: S105 (the name of an operation)
    AGENT = "agent"
    CONSOLE = "console"
    DISK = "disk"
    NIC = "nic"
    NETWORK = "network"
    SNAPSHOT = "snapshot"
    REVERT = "revert"
    BACKUP = "backup"
    RESTORE = "restore"


class Action(StrEnum):
    CRASH_HOST = "crash-host"
    """Power gone: ports closed, VMs gone with it; after healing everything has booted anew."""
    CUT_LINK = "cut-link"
    """Nothing is answered any more; the host and its VMs run on."""
    HANG_EXPORTER = "hang-exporter"
    """The host's own page never comes; the page of its VMs does."""
    RESTART_VM = "restart-vm"
    """The counters of the VM begin at 0 again."""
    LOAD_VM = "load-vm"
    """All vCPUs busy."""
    FILL_DISK = "fill-disk"
    """A disk of a VM or a file system of a host is nearly full."""
    FAIL_OPERATION = "fail-operation"
    """What the control plane asks of a host or VM is refused: one operation, or all."""
    LOSE_NETWORK = "lose-network"
    """A host forgets the routers and filters that it carries, or every host one of them."""
    HEAL = "heal"
    """The target, or everything, is as it was."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`target` is the id or name of a host or VM; `device` a disk, a mountpoint or (fail-operation) a deed, None for
    all of the target's."""

    action: Action
    target: str = ""
    device: str | None = None


@dataclass(frozen=True, slots=True)
class HostCondition:
    crashed: bool = False
    cut: bool = False
    hung: bool = False
    filled: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()

    @property
    def faults(self) -> tuple[Action, ...]:
        marks = ((self.crashed, Action.CRASH_HOST), (self.cut, Action.CUT_LINK), (self.hung, Action.HANG_EXPORTER),
                 (bool(self.filled), Action.FILL_DISK), (bool(self.failing), Action.FAIL_OPERATION))  # fmt: skip
        return tuple(action for present, action in marks if present)


@dataclass(frozen=True, slots=True)
class VmCondition:
    """`on` is the VM's power switch: it runs when it is on and its host lives."""

    vcpus: int
    memory_mb: int
    on: bool = True
    loaded: bool = False
    filled: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()

    @property
    def faults(self) -> tuple[Action, ...]:
        marks = ((self.loaded, Action.LOAD_VM), (bool(self.filled), Action.FILL_DISK),
                 (bool(self.failing), Action.FAIL_OPERATION))  # fmt: skip
        return tuple(action for present, action in marks if present)


Condition = HostCondition | VmCondition


class Directory:
    """Hosts and VMs by id and name."""

    def __init__(self, centre: DataCentre) -> None:
        self._hosts = {key: host for host in centre.hosts for key in (host.id, host.name)}
        self._vms = {key: vm for vm in centre.vms for key in (vm.id, vm.name)}

    def admit(self, vm: SimVm) -> None:
        """A VM more, or another description of a known one. Of VMs with the same name the first one has it."""
        self._vms[vm.id] = vm
        if self._vms.setdefault(vm.name, vm).id == vm.id:
            self._vms[vm.name] = vm

    def dismiss(self, vm: SimVm) -> None:
        for key in (vm.id, vm.name):
            if self._vms.get(key, vm).id == vm.id:
                self._vms.pop(key, None)

    def host(self, target: str) -> SimHost:
        return self._hosts.get(target) or _refuse("host", target, self._hosts)

    def vm(self, target: str) -> SimVm:
        return self._vms.get(target) or _refuse("VM", target, self._vms)

    def either(self, target: str) -> SimHost | SimVm:
        return (
            self._hosts.get(target)
            or self._vms.get(target)
            or _refuse("host or VM", target, {**self._hosts, **self._vms})
        )


def _refuse(kind: str, target: str, known: Mapping[str, SimHost | SimVm]) -> NoReturn:
    ids = sorted({thing.id for thing in known.values()})
    shown = ", ".join(ids) if len(ids) <= 8 else f"{ids[0]} ... {ids[-1]}"
    problem = f"there is no simulated {kind} {target!r}" if target else f"the id of a simulated {kind} is missing"
    raise Invalid("target", problem, shown or "nothing: the simulated data centre is empty")


def read(action: str, target: str, device: str | None = None) -> Fault:
    """A fault from words. Invalid names the actions there are."""
    try:
        return Fault(Action(action), target, device or None)
    except ValueError:
        raise Invalid("action", f"there is no {action!r}", ", ".join(Action)) from None


def on_host(fault: Fault, host: SimHost, now: HostCondition) -> HostCondition:
    """The host's condition after the fault. Conflict: it cannot happen to a host in this condition."""
    if fault.action is Action.HEAL:
        return HostCondition()
    if now.crashed:
        raise Conflict("host", host.id, "is down (crash-host); heal it first")
    match fault.action:
        case Action.LOSE_NETWORK:
            return now
        case Action.CRASH_HOST:
            return replace(now, crashed=True)
        case Action.CUT_LINK:
            return replace(now, cut=True)
        case Action.HANG_EXPORTER:
            return replace(now, hung=True)
        case Action.FILL_DISK:
            return replace(now, filled=_devices(fault.device, MOUNTPOINTS, now.filled))
        case Action.FAIL_OPERATION:
            return replace(now, failing=_devices(fault.device, tuple(Deed), now.failing))
        case _:
            raise Invalid("target", f"{fault.action} needs a VM, {host.id} is a host", "the id of a simulated VM")


def on_vm(fault: Fault, vm: SimVm, now: VmCondition, host: HostCondition) -> VmCondition:
    """The VM's condition after the fault; restart-vm and lose-network leave it as it is."""
    if fault.action is Action.HEAL:
        return replace(now, loaded=False, filled=(), failing=())
    if fault.action is Action.FAIL_OPERATION:
        return replace(now, failing=_devices(fault.device, tuple(Deed), now.failing))
    if host.crashed or not now.on:
        raise Conflict(
            "VM", vm.id, "is not running: " + ("its host is down (crash-host)" if host.crashed else "it is off")
        )
    match fault.action:
        case Action.RESTART_VM | Action.LOSE_NETWORK:
            return now
        case Action.LOAD_VM:
            return replace(now, loaded=True)
        case Action.FILL_DISK:
            return replace(now, filled=_devices(fault.device, [disk.device for disk in vm.disks], now.filled))
        case _:
            raise Invalid("target", f"{fault.action} needs a host, {vm.id} is a VM", "the id of a simulated host")


def _devices(wanted: str | None, present: Sequence[str], filled: tuple[str, ...]) -> tuple[str, ...]:
    if wanted is None:
        return tuple(present)
    if wanted not in present:
        raise Invalid("device", f"there is no {wanted!r}", ", ".join(present))
    return tuple(device for device in present if device == wanted or device in filled)
