"""What the inventory wants to know about this machine as a host."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from collector.agent.procfs import Proc


@dataclass(frozen=True, slots=True)
class Facts:
    """`cpu_cores` are the CPUs that the kernel schedules on (hyper-threads included)."""

    name: str
    os_product: str
    os_bits: int
    kernel_version: str
    cpu_vendor: str
    cpu_cores: int
    cpu_sockets: int
    memory_mb: int


def facts(proc: Proc | None = None) -> Facts:
    """Read once, at registration. Raises OSError without /proc."""
    source = proc or Proc()
    cpus = source.cpuinfo()
    sockets = {cpu["physical id"] for cpu in cpus if "physical id" in cpu}
    vendor = next((cpu[key] for cpu in cpus for key in ("vendor_id", "CPU implementer") if key in cpu), "")
    return Facts(
        name=platform.node(),
        os_product=_product(),
        os_bits=64 if platform.machine().endswith("64") or platform.machine() == "s390x" else 32,
        kernel_version=platform.release(),
        cpu_vendor=vendor,
        cpu_cores=len(source.stat().modes),
        cpu_sockets=max(len(sockets), 1),
        memory_mb=round(source.meminfo()["MemTotal_bytes"] / 1024 / 1024),
    )


def _product() -> str:
    """os-release(5) where there is one."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()
