"""The simulated data centre on the wire: exporter pages over loopback HTTP, faults that are real, a control API."""

from api.simulation.cloud import SimulatedCloud
from api.simulation.control import create_router, targets
from api.simulation.inventory import DEMO_TENANT, register

__all__ = ["DEMO_TENANT", "SimulatedCloud", "create_router", "register", "targets"]
