"""A small inventory."""

from __future__ import annotations

from core.compute.inventory import DiskSpec, HostSpec, NicSpec, VmSpec
from core.hosts.rows import Origin


def a_host(number: int) -> HostSpec:
    return HostSpec(
        id=f"host-{number}", name=f"node{number}", origin=Origin.SIMULATED, address=f"10.0.0.{number}",
        exporter_url=f"http://10.0.0.{number}:9100/metrics", cpu_cores=32, cpu_sockets=2, memory_mb=131_072,
    )  # fmt: skip


def a_vm(number: int, tenant_id: str, host: int = 1) -> VmSpec:
    ip = f"192.168.{number // 256}.{number % 256}"
    return VmSpec(
        id=f"vm-{number}", tenant_id=tenant_id, host_id=f"host-{host}", domain_uuid=f"uuid-{number}",
        name=f"web{number}", vcpus=2, memory_mb=4096,
        disks=(DiskSpec(id=f"disk-{number}", device="vda", size_gb=40, is_system=True),),
        nics=(NicSpec(id=f"nic-{number}", device="vnet0", mac=mac(number), ip=ip),),
    )  # fmt: skip


def mac(number: int) -> str:
    return f"52:54:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
