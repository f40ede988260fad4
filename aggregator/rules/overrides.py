"""Limits per object: a rule's own, changed for a tenant, for a label, for a host, for a VM - the more exact one wins.

Of two overrides of the same scope the later one in the file wins. Computed once per set of objects, not per evaluation.
"""

from __future__ import annotations

import numpy as np

from aggregator.rules.conditions import Limits
from aggregator.rules.inventory import NOBODY, Census
from aggregator.rules.language import Override, Rule, Scope
from aggregator.rules.verdicts import Bools

_ORDER = tuple(Scope)


def limits_of(rule: Rule, census: Census) -> Limits:
    """The limits of all objects of the rule's kind."""
    size = len(census.populations[rule.kind])
    raise_at = np.full((len(rule.steps), size), np.nan)
    clear_at = np.full((len(rule.steps), size), np.nan)
    for row, step in enumerate(rule.steps):
        if step.band is not None:
            raise_at[row], clear_at[row] = step.band.raise_at, step.band.clear_at
    enabled = np.ones(size, dtype=np.bool_)
    for override in sorted(rule.overrides, key=lambda override: _ORDER.index(override.scope)):
        chosen = _matching(override, rule, census)
        enabled[chosen] = not override.disabled
        for row, step in enumerate(rule.steps):
            shift = override.shifts.get(step.severity)
            if step.band is not None and shift is not None:
                band = shift.apply(step.band)
                raise_at[row, chosen], clear_at[row, chosen] = band.raise_at, band.clear_at
    return Limits(raise_at, clear_at, enabled)


def _matching(override: Override, rule: Rule, census: Census) -> Bools:
    """Which objects: by the VM they belong to, else by their host. A VM's label hides the same label of its host."""
    inventory, population = census.inventory, census.populations[rule.kind]
    vm_matches = np.zeros(len(inventory.vms) + 1, dtype=np.bool_)
    host_matches = np.zeros(len(inventory.hosts) + 1, dtype=np.bool_)
    match override.scope:
        case Scope.TENANT:
            vm_matches[:-1] = [vm.tenant_id == override.key for vm in inventory.vms]
        case Scope.VM:
            vm_matches[:-1] = [vm.id == override.key for vm in inventory.vms]
        case Scope.HOST:
            host_matches[:-1] = [host.id == override.key for host in inventory.hosts]
        case Scope.LABEL:
            return _labelled(override, rule, census)
    matched: Bools = vm_matches[population.vm] | host_matches[population.host]
    return matched


def _labelled(override: Override, rule: Rule, census: Census) -> Bools:
    wanted = dict(override.key) if not isinstance(override.key, str) else {}
    inventory, population = census.inventory, census.populations[rule.kind]
    chosen = np.zeros(len(population), dtype=np.bool_)
    hosts = [dict(host.labels) for host in inventory.hosts]
    vms = [dict(vm.labels) for vm in inventory.vms]
    for position, (vm, host) in enumerate(zip(population.vm.tolist(), population.host.tolist(), strict=True)):
        labels = {**(hosts[host] if host != NOBODY else {}), **(vms[vm] if vm != NOBODY else {})}
        chosen[position] = wanted.items() <= labels.items()
    return chosen
