"""This machine in the inventory, as the host that the built-in agent watches."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from api.agent import PATH
from collector.agent.facts import facts
from core.compute.inventory import HostSpec, ensure_host
from core.db.session import PlatformSession
from core.hosts.rows import Origin

HOST_ID: Final = "host-local"
_LOOPBACK: Final = "127.0.0.1"


def register(session: PlatformSession, port: int, now: datetime) -> None:
    """The host is in the inventory with what the machine says of itself; `port` is the agent's. May be repeated."""
    about = facts()
    spec = HostSpec(
        id=HOST_ID,
        name=about.name,
        origin=Origin.LOCAL,
        address=_LOOPBACK,
        exporter_url=f"http://{_LOOPBACK}:{port}{PATH}",
        os_product=about.os_product,
        os_bits=about.os_bits,
        kernel_version=about.kernel_version,
        cpu_vendor=about.cpu_vendor,
        cpu_cores=about.cpu_cores,
        cpu_sockets=about.cpu_sockets,
        memory_mb=about.memory_mb,
    )
    ensure_host(session, spec, now)
