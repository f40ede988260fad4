"""The outside of the simulated data centre: outer IPs that are nobody's (RFC 5737), and a router of the demo tenant."""

from __future__ import annotations

from typing import Final

from api.simulation.inventory import DEMO_TENANT
from core.context import Context
from core.network import nodes, outer, pools
from core.network.outer_rows import NatType
from core.network.pools import AddPool
from core.network.router_rows import Router, RouterState

ROUTER: Final = "vroute-demo"
_POOL: Final = AddPool(addresses="198.51.100.0/24", gateway="198.51.100.1")


def register(at: Context) -> None:
    """At the first start only: what is deleted does not come back. The demo tenant exists."""
    pools.add(at, _POOL)
    router = Router(
        id=ROUTER, tenant_id=DEMO_TENANT, name="demo", description="router of the demo tenant",
        created_at=at.clock.now(), state=RouterState.READY,
    )  # fmt: skip
    at.session.add(router)
    at.session.flush()
    outer.hold(at, router, NatType.PORT, None, "wan_ip", is_wan=True)
    nodes.mark_routers(at.session, [router.id])
