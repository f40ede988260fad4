"""The port to what can switch a host off and prove it: a power controller (IPMI, Redfish, PDU) or the simulation.

A VM may be started a second time only when its first copy cannot run any more. `FENCED` is that certificate: whoever
answers it vouches that nothing runs on the host now, and that nothing will until a person or a cold start brings it
back. Everything short of a certificate is `UNKNOWN`: a time-out, a refusal, "accepted, will switch off soon".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Protocol


class Power(StrEnum):
    """UNKNOWN: the host has a controller and it did not say."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


class Fencing(StrEnum):
    FENCED = "fenced"
    UNKNOWN = "unknown"


class HostPower(Protocol):
    """Called from several threads. No method raises for a host that it cannot reach: that is an UNKNOWN."""

    def look(self, host_ids: Collection[str]) -> Mapping[str, Power]:
        """What the controllers say now, in one call for all. A host that has no controller is absent: it can never be
        fenced."""
        ...

    def fence(self, host_id: str, within: float) -> Fencing:
        """Switch the host off, or find it off, and give up after `within` seconds. May be repeated."""
        ...

    def place(self, homes: Mapping[str, str]) -> Mapping[str, str]:
        """See to it that each VM (by id) runs on its host (by id) and on no other. May be repeated; what is so
        already is left alone. The VMs that could not be placed, with the reason; VMs and hosts that are not its own
        are passed over."""
        ...
