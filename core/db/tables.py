"""Every table of the product: whoever needs the whole metadata (migrations, their tests) imports it from here."""

from __future__ import annotations

from core.alarms import rows as _alarms
from core.audit import rows as _audit
from core.compute import console_rows as _consoles
from core.compute import copy_rows as _copies
from core.compute import model_rows as _models
from core.compute import rows as _compute
from core.compute import template_rows as _templates
from core.db.types import Row
from core.hosts import rows as _hosts
from core.hosts import storage_rows as _storages
from core.leases import rows as _leases
from core.network import balancer_rows as _balancers
from core.network import filter_rows as _filters
from core.network import node_rows as _nodes
from core.network import outer_rows as _outer
from core.network import router_rows as _routers
from core.network import rows as _network
from core.tasks import rows as _tasks
from core.tenancy import rows as _tenancy

__all__ = ["METADATA"]

_MODULES = (
    _alarms, _audit, _balancers, _compute, _consoles, _copies, _filters, _hosts, _leases, _models, _network, _nodes,
    _outer, _routers, _storages, _tasks, _templates, _tenancy,
)  # fmt: skip

METADATA = Row.metadata
