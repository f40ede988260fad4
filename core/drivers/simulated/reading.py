"""All numbers of one host and its VMs at one instant: what both of its pages are rendered from, so that they agree."""

from __future__ import annotations

from dataclasses import dataclass

from core.drivers.simulated.chance import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Times in epoch seconds, sizes in bytes. Host counters cover its VMs. Arrays stand in the order of the host's VMs.

    * `own`, `guests`: (channels,) counters of the host itself and of all its VMs, both since the host's boot
    * `demand`: (3,) threads busy on average in the last 1, 5 and 15 minutes
    * `counters`: (channels, VMs) since each VM's start
    * `memory`, `memory_used`, `vcpus`: (VMs,)
    * `space_used`: (disks,) bytes in use on each disk of all VMs
    * `root_used`, `store_used`: of the host's two file systems
    """

    at: float
    boot: float
    own: Floats
    guests: Floats
    demand: Floats
    counters: Floats
    vcpus: Floats
    memory: Floats
    memory_used: Floats
    space_used: Floats
    root_used: float
    store_used: float
