"""A host dies under its VMs: they run on elsewhere, once, and are measured there; and the host comes back empty."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.support.product import Product, measured, rows, vm_ids
from tests.support.real import eventually

FEW = 60.0


def simulation(product: Product) -> dict[str, Any]:
    """What really runs, and where: the hypervisors' own view."""
    headers = {"KEY_TOKEN": product.platform_token}
    answer = httpx.get(f"{product.url}/simulation", headers=headers, timeout=30, trust_env=False)
    found: dict[str, Any] = answer.json()
    return found


def runs_on(product: Product) -> dict[str, str]:
    """Where each VM that runs runs; a crashed host runs nothing."""
    now = simulation(product)
    dead = {host["id"] for host in now["hosts"] if "crash-host" in host["faults"]}
    running = [(vm["id"], vm["host_id"]) for vm in now["vms"] if vm["running"] and vm["host_id"] not in dead]
    assert max(Counter(vm for vm, _ in running).values(), default=1) == 1, "a VM runs twice"
    return dict(running)


def homes(product: Product) -> dict[str, str]:
    return {vm["vm.id"]: vm["vm.hostid"] for vm in rows(product.platform("cloudvm/search")) if vm["vm.state"] == "1"}


def state(product: Product, host: str) -> str:
    return str(rows(product.platform("cloudhost/search", {"host.id": host}))[0]["host.state"])


def reasons(product: Product, host: str) -> list[str]:
    """Of the events of a host, oldest first."""
    found = rows(product.platform("cloudhost/events", {"host.id": host}))
    return [event["event.reason"] for event in reversed(found)]


def test_vms_of_a_dead_host_run_on_elsewhere_once_and_are_measured_there(tmp_path: Path) -> None:
    with Product(tmp_path, sim_hosts=3, sim_vms=9, agent="false") as product:
        measured(product)
        before = homes(product)
        dead = Counter(before.values()).most_common(1)[0][0]
        victims = set(vm_ids(product, **{"vm.hostid": dead}))
        assert len(victims) > 1
        product.inject("crash-host", dead)

        eventually(lambda: state(product, dead) == "0", FEW)
        eventually(lambda: dead not in homes(product).values() and homes(product).keys() == before.keys(), FEW)
        eventually(lambda: runs_on(product) == homes(product), FEW)
        after = homes(product)
        assert {vm for vm, host in after.items() if host != before[vm]} == victims
        wanted = {"monitor.obj.type": "vm", "monitor.objids": sorted(victims)}
        eventually(
            lambda: all(
                row["monitor.cpu.rate"] for row in rows(product.platform("cloudmonitor/compute/currents", wanted))
            ),
            FEW,
        )
        told = reasons(product, dead)
        assert told[:4] == ["heartbeat_lost", "powered_off", "fenced", "vm_restarted"]
        assert told.count("vm_restarted") == len(victims)

        product.inject("heal", dead)
        eventually(lambda: state(product, dead) == "1", FEW)
        assert homes(product) == after
        assert runs_on(product) == after
        assert reasons(product, dead)[-1] == "answered"
        assert not product.errors()
