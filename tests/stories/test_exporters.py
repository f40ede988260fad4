"""A host that speaks for itself: Debian's node_exporter, registered over the wire, beside the built-in agent."""

from __future__ import annotations

from pathlib import Path

from tests.support.product import Product, fields, rows
from tests.support.real import answers, binary, eventually, free_port, server

SAME = ("monitor.cpu.num", "monitor.mem.size")


def test_a_registered_node_exporter_measures_what_the_built_in_agent_measures(product: Product, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/metrics"
    command = [binary("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}", "--no-collector.systemd"]
    with server(command, lambda: answers(url), tmp_path / "exporter.log"):
        host = {"host.name": "exporter", "host.ip": "127.0.0.1", "host.exporter.url": url}
        made = fields(product.platform("cloudhost/register", host))["host.id"]
        assert not product.platform("cloudhost/register", host).succeeded, "its page is watched already"
        wanted = {"monitor.obj.type": "host", "monitor.objids": [made, "host-local"]}

        def both() -> list[dict[str, str]]:
            current = rows(product.platform("cloudmonitor/compute/currents", wanted))
            return current if all(row["monitor.cpu.rate"] for row in current) else []

        theirs, ours = eventually(both, 30)
        assert [theirs[name] for name in SAME] == [ours[name] for name in SAME]
        for name, tolerance in (("monitor.mem.usedsize", 0.25), ("monitor.disk.usedsize", 0.05)):
            assert abs(int(theirs[name]) - int(ours[name])) <= tolerance * int(ours[name]) + 16, name
        known = rows(product.platform("cloudhost/search", {"host.id": made}))[0]
        assert (known["host.state"], known["host.isconnected"]) == ("1", "true")
        for operation in ("everydisk", "everynet"):
            query = {"monitor.obj.type": "host", "monitor.obj": made}
            parts = rows(product.platform(f"cloudmonitor/{operation}/current", query))
            local = rows(product.platform(f"cloudmonitor/{operation}/current", {**query, "monitor.obj": "host-local"}))
            key = "monitor.diskid" if operation == "everydisk" else "monitor.netcardid"
            assert {row[key].split("/")[-1] for row in parts} == {row[key].split("/")[-1] for row in local}
        assert product.platform.call("DELETE", f"cloudhost/{made}").succeeded
    assert made not in str(product.platform("cloudhost/search").data)
