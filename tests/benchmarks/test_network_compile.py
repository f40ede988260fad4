"""How long it takes to compile a large tenant and to find what a change of its rules means for its nodes."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from core.network.compile_nic import Compiled, compile_nic
from core.network.compile_router import compile_router
from core.network.describe import describe, differences
from core.network.desired import Node, NodeState
from core.network.intent import NicIntent, RouterIntent
from core.network.node_rows import NodeType
from tests.support.intents import a_tenant

pytestmark = pytest.mark.benchmark
NICS, RULES = 1000, 10_000


def _compile(nics: Iterable[NicIntent], router: RouterIntent) -> dict[Node, NodeState]:
    groups: Compiled = {}
    states: dict[Node, NodeState] = {Node(NodeType.NIC, nic.id): compile_nic(nic, groups) for nic in nics}
    states[Node(NodeType.ROUTER, router.id)] = compile_router(router)
    return states


def test_a_tenant_of_a_thousand_nics_and_ten_thousand_rules() -> None:
    before, after = a_tenant(NICS, RULES), a_tenant(NICS, RULES, changed=2)
    own = sum(len(nic.rules) for nic in before[0])
    boundary = sum(len(guest.rules) for network in before[1].networks for guest in network.guests)
    grouped = sum(len(group.rules) for group in {group.id: group for nic in before[0] for group in nic.groups}.values())
    began = time.perf_counter()
    old = _compile(*before)
    compiled = time.perf_counter()
    new = _compile(*after)
    again = time.perf_counter()
    found = differences(old, new)
    done = time.perf_counter()
    lines = sum(len(describe(state)) for state in old.values())
    print(
        f"\n{NICS} NICs, {own + boundary + grouped} rules ({lines} lines): compile {compiled - began:.3f} s, again "
        f"{again - compiled:.3f} s, difference {done - again:.3f} s ({len(found)} of {len(old)} nodes differ), "
        f"compile and difference {done - compiled:.3f} s"
    )
    assert own + boundary + grouped == RULES
    assert len(found) == NICS * 4 // 50
    assert all(len(one.changed) == 1 for one in found.values())
