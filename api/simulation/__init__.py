"""The simulated data centre on the wire: exporter pages over loopback HTTP, faults that are real, a control API."""

from api.simulation.cloud import SimulatedCloud
from api.simulation.control import create_router, targets

__all__ = ["SimulatedCloud", "create_router", "targets"]
