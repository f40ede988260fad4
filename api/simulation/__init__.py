"""The simulated data centre on the wire: exporter pages over loopback HTTP, faults that are real, a control API."""

from api.simulation.cloud import SimulatedCloud, attached, served
from api.simulation.control import create_router, targets
from api.simulation.inventory import DEMO_TENANT, register

__all__ = ["DEMO_TENANT", "SimulatedCloud", "attached", "create_router", "register", "served", "targets"]
