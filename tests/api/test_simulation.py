from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select, update
from typer.testing import CliRunner

from api.cli_sim import sim_app
from api.simulation import DEMO_TENANT, SimulatedCloud, attached, register, served, templates
from api.simulation.serve import Running, serving
from core.clock import VirtualClock
from core.compute.rows import Disk, Nic, Vm, VmState
from core.compute.template_rows import Template
from core.db.engine import Database
from core.db.session import of_every_kind
from core.drivers.power import Fencing, HostPower, Power
from core.drivers.simulated.faults import Action, Fault
from core.drivers.simulated.shared import FILE
from core.errors import Conflict, Invalid, NotFound
from core.hosts.rows import Host, Origin
from core.tenancy.rows import Quota
from tests.support.real import binary, eventually

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOST = "host-sim-001"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[SimulatedCloud]:
    with served(1, 3, 12, tmp_path, VirtualClock(NOW)) as started:
        yield started


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=0.4, trust_env=False) as opened:
        yield opened


def url(cloud: SimulatedCloud, host: str = HOST, path: str = "/metrics") -> str:
    return f"http://127.0.0.1:{cloud.whereabouts.ports[host]}{path}"


def tcp(cloud: SimulatedCloud, host: str = HOST) -> bool:
    try:
        socket.create_connection(("127.0.0.1", cloud.whereabouts.ports[host]), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


def test_every_host_serves_its_own_two_pages(cloud: SimulatedCloud, client: httpx.Client) -> None:
    assert len(set(cloud.whereabouts.ports.values())) == 3
    for host in cloud.centre.hosts:
        page = client.get(url(cloud, host.id))
        assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert f'nodename="{host.name}"' in page.text
        vms = client.get(url(cloud, host.id, "/libvirt/metrics")).text
        assert {vm.id for vm in cloud.centre.vms if f'"{vm.id}"' in vms} == {cloud.centre.vms[i].id for i in host.vms}


def test_pages_are_packed_only_for_those_who_ask(cloud: SimulatedCloud, client: httpx.Client) -> None:
    plain = client.get(url(cloud), headers={"Accept-Encoding": "identity"})
    packed = client.get(url(cloud), headers={"Accept-Encoding": "gzip, deflate"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.text == plain.text
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 4


def test_a_connection_is_kept_and_anything_else_is_refused(cloud: SimulatedCloud, client: httpx.Client) -> None:
    assert [client.get(url(cloud, path=path)).status_code for path in ("/", "/metrics", "/nope")] == [404, 200, 404]
    assert client.post(url(cloud)).status_code == 405
    with socket.create_connection(("127.0.0.1", cloud.whereabouts.ports[HOST]), timeout=2) as raw:
        raw.sendall(b"nonsense\r\n\r\n")
        assert raw.recv(1) == b""
    assert client.get(url(cloud)).status_code == 200


def test_a_crashed_host_refuses_connections_and_breaks_old_ones(cloud: SimulatedCloud, client: httpx.Client) -> None:
    client.get(url(cloud))
    cloud.apply(Fault(Action.CRASH_HOST, HOST))
    for _ in range(2):
        with pytest.raises((httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)):
            client.get(url(cloud))
    assert not tcp(cloud)
    assert client.get(url(cloud, "host-sim-002")).status_code == 200
    port = cloud.whereabouts.ports[HOST]
    cloud.apply(Fault(Action.HEAL, HOST))
    assert cloud.whereabouts.ports[HOST] == port
    assert f"node_boot_time_seconds {int(NOW.timestamp())}" in client.get(url(cloud)).text


def test_the_port_of_a_crashed_host_stays_its_own(cloud: SimulatedCloud) -> None:
    cloud.apply(Fault(Action.CRASH_HOST, HOST))
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", cloud.whereabouts.ports[HOST]))


def test_a_cut_link_accepts_and_never_answers(cloud: SimulatedCloud, client: httpx.Client) -> None:
    client.get(url(cloud))
    cloud.apply(Fault(Action.CUT_LINK, HOST))
    for path in ("/metrics", "/libvirt/metrics"):
        with pytest.raises(httpx.ReadTimeout):
            client.get(url(cloud, path=path))
    assert tcp(cloud)
    cloud.apply(Fault(Action.HEAL, HOST))
    assert client.get(url(cloud)).status_code == 200


def test_a_hanging_exporter_hangs_alone(cloud: SimulatedCloud, client: httpx.Client) -> None:
    cloud.apply(Fault(Action.HANG_EXPORTER, HOST))
    with pytest.raises(httpx.ReadTimeout):
        client.get(url(cloud))
    assert tcp(cloud)
    assert client.get(url(cloud, path="/libvirt/metrics")).status_code == 200
    cloud.apply(Fault(Action.HEAL, "all"))
    assert client.get(url(cloud)).status_code == 200


def test_faults_and_ports_survive_a_restart(tmp_path: Path, client: httpx.Client) -> None:
    with served(1, 3, 12, tmp_path, VirtualClock(NOW)) as first:
        first.apply(Fault(Action.CRASH_HOST, HOST))
        first.apply(Fault(Action.HANG_EXPORTER, "host-sim-002"))
        ports = first.whereabouts.ports
    with served(1, 3, 12, tmp_path, VirtualClock(NOW)) as again:
        assert again.whereabouts.ports == ports
        assert {host.id: host.faults for host in again.status().hosts} == {
            HOST: ("crash-host",), "host-sim-002": ("hang-exporter",), "host-sim-003": ()}  # fmt: skip
        assert not tcp(again)
        with pytest.raises(httpx.ReadTimeout):
            client.get(url(again, "host-sim-002"))


def test_a_port_that_is_taken_is_replaced(tmp_path: Path) -> None:
    with served(1, 1, 2, tmp_path, VirtualClock(NOW)) as first:
        port = first.whereabouts.ports[HOST]
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with served(1, 1, 2, tmp_path, VirtualClock(NOW)) as started:
            assert started.whereabouts.ports[HOST] != port


@pytest.mark.parametrize("damage", [b"{", b"SQLite format 3\x00" + b"?" * 5000])
def test_a_damaged_file_is_forgotten(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / FILE).write_bytes(damage)
    with served(1, 1, 2, tmp_path, VirtualClock(NOW)) as started:
        assert started.status().hosts[0].faults == ()


def test_a_data_centre_of_another_size_is_begun_anew(tmp_path: Path) -> None:
    with served(1, 2, 2, tmp_path, VirtualClock(NOW)) as first:
        first.apply(Fault(Action.CRASH_HOST, HOST))
    with served(1, 1, 2, tmp_path, VirtualClock(NOW)) as other:
        assert [host.faults for host in other.status().hosts] == [()]


def test_a_refused_fault_changes_nothing(cloud: SimulatedCloud, tmp_path: Path) -> None:
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(Invalid):
        cloud.apply(Fault(Action.CRASH_HOST, "nope"))
    with pytest.raises(Conflict):
        cloud.resize("vm-sim-00001", vcpus=9999, memory_mb=1024)
    assert (tmp_path / FILE).read_bytes() == before


def test_a_data_centre_is_served_once(cloud: SimulatedCloud, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="is served by another process"), served(1, 3, 12, tmp_path, VirtualClock(NOW)):
        pass


def test_others_take_part_in_it(cloud: SimulatedCloud, tmp_path: Path) -> None:
    with attached(tmp_path, VirtualClock(NOW)) as other:
        assert (other.centre, other.whereabouts) == (cloud.centre, cloud.whereabouts)
        other.apply(Fault(Action.CRASH_HOST, HOST))
        eventually(lambda: not tcp(cloud), 2)
        assert cloud.look([HOST]) == {HOST: Power.OFF}
        cloud.apply(Fault(Action.HEAL, HOST))
        assert tcp(cloud)
        assert other.look([HOST]) == {HOST: Power.ON}
        assert other.status() == cloud.status()


def test_nobody_takes_part_in_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound), attached(tmp_path, VirtualClock(NOW)):
        pass


def test_the_simulation_is_a_power_controller(cloud: SimulatedCloud) -> None:
    power: HostPower = cloud
    vm = cloud.centre.vms[cloud.centre.hosts[0].vms[0]].id
    assert power.look([HOST, "host-elsewhere"]) == {HOST: Power.ON}
    assert power.fence("host-elsewhere", 1) is Fencing.UNKNOWN
    assert power.fence(HOST, 5) is Fencing.FENCED
    assert power.fence(HOST, 5) is Fencing.FENCED
    assert power.look([HOST]) == {HOST: Power.OFF}
    assert not tcp(cloud)
    assert power.place({vm: "host-sim-002", "vm-elsewhere": HOST}) == {}
    assert {one.id: one.host_id for one in cloud.status().vms}[vm] == "host-sim-002"
    other = cloud.centre.vms[cloud.centre.hosts[1].vms[0]].id
    assert "is down" in power.place({other: HOST})[other]


def test_many_threads_may_ask_at_once(cloud: SimulatedCloud) -> None:
    threads = [threading.Thread(target=cloud.apply, args=(Fault(Action.LOAD_VM, vm.id),)) for vm in cloud.centre.vms]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(vm.faults == ("load-vm",) for vm in cloud.status().vms)


def test_the_inventory_gets_everything_and_may_get_it_again(cloud: SimulatedCloud, database: Database) -> None:
    vm = cloud.centre.vms[0]
    cloud.set_power(vm.id, on=False)
    for _ in range(2):
        with database.platform(write=True) as session:
            register(session, cloud, NOW)
    with database.platform() as session:
        host = session.get_one(Host, HOST)
        assert (host.origin, host.exporter_url) == (Origin.SIMULATED, url(cloud))
        assert host.vm_exporter_url == url(cloud, path="/libvirt/metrics")
        assert session.get_one(Vm, vm.id).state is VmState.STOPPED
        assert session.get_one(Vm, vm.id).tenant_id == DEMO_TENANT
        wanted = (12, sum(len(vm.disks) for vm in cloud.centre.vms), sum(len(vm.nics) for vm in cloud.centre.vms))
        assert tuple(session.scalar(select(func.count()).select_from(kind)) for kind in (Vm, Disk, Nic)) == wanted
        assert session.get_one(Quota, DEMO_TENANT).cpu_used == sum(vm.vcpus for vm in cloud.centre.vms)


def test_templates_are_shipped_once_and_stay_as_people_leave_them(cloud: SimulatedCloud, database: Database) -> None:
    def start() -> None:
        with database.platform(write=True) as session:
            is_first = register(session, cloud, NOW)
            templates.register(session, cloud, NOW, ship=is_first)

    def marked() -> list[str]:
        with database.platform() as session:
            return list(session.scalars(select(Template.id).order_by(Template.id)))

    start()
    first = marked()
    assert "vm-sim-template-debian-12" in first
    assert {vm.id: vm.on for vm in cloud.status().vms if vm.id in first} == dict.fromkeys(first, False)
    with database.platform(write=True) as session:
        assert session.get_one(Quota, DEMO_TENANT).cpu_used == sum(vm.vcpus for vm in cloud.centre.vms)
        session.execute(of_every_kind(update(Vm)).where(Vm.id == first[0]).values(is_template=False))
    start()
    assert marked() == first[1:]
    assert {vm.id for vm in cloud.status().vms} >= set(first)


# --- the control API and its commands


@pytest.fixture
def running() -> Iterator[Running]:
    with serving(1, 2, 6, None, token="the-token-of-this-test") as up:
        yield up


def sim(running: Running, *words: str, token: str = "") -> tuple[int, str]:
    options = ["--url", running.control_url, "--token", token or running.token]
    result = CliRunner().invoke(sim_app, [*words, *options], env={"COLUMNS": "200"})
    return result.exit_code, result.output


def test_commands_break_and_heal(running: Running) -> None:
    assert sim(running, "crash-host", HOST)[0] == 0
    assert sim(running, "load-vm", "vm-sim-00002")[0] == 0
    assert running.simulation.status().hosts[0].faults == ("crash-host",)
    code, text = sim(running, "status")
    assert code == 0
    assert "crash-host" in text
    assert "load-vm" in text
    assert sim(running, "heal")[0] == 0
    assert running.simulation.status().hosts[0].faults == ()


def test_every_action_has_its_command() -> None:
    commands = {command.name for command in sim_app.registered_commands}
    assert {str(action) for action in Action} | {"status", "serve", "ping"} == commands


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("crash-host", "nope"), "allowed: host-sim-001, host-sim-002"),
        (("fill-disk", "vm-sim-00001", "--device", "vdz"), "allowed: vda"),
    ],
)
def test_a_wrong_command_is_explained(running: Running, words: tuple[str, ...], says: str) -> None:
    code, text = sim(running, *words)
    assert code == 1
    assert says in text


def test_a_wrong_token_is_refused(running: Running) -> None:
    code, text = sim(running, "crash-host", HOST, token="wrong")
    assert code == 1
    assert "KEY_TOKEN" in text
    assert running.simulation.status().hosts[0].faults == ()
    assert httpx.get(f"{running.control_url}/simulation", trust_env=False).status_code == 401


def test_bad_bodies_and_actions_get_reasons(running: Running) -> None:
    headers = {"KEY_TOKEN": running.token}
    with httpx.Client(base_url=running.control_url, headers=headers, trust_env=False) as http:
        assert http.post("/simulation/explode", json={"target": HOST}).json()["allowed"].startswith("crash-host")
        assert http.post("/simulation/crash-host", content=b"no json").is_client_error
        assert http.post("/simulation/crash-host", json={"target": HOST}).status_code == 200
        assert http.post("/simulation/crash-host", json={"target": HOST}).status_code == 409


def test_a_server_that_is_not_there_is_named() -> None:
    words = ["status", "--url", "http://127.0.0.1:9", "--token", "x"]
    result = CliRunner().invoke(sim_app, words, env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert "http://127.0.0.1:9/simulation cannot be reached" in result.output


def test_the_simulator_serves_as_a_process_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "targets.json"
    program = "from api.cli_sim import sim_app; sim_app()"
    command = [sys.executable, "-c", program, "serve", "--hosts", "2", "--vms", "4", "--port-file", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path.cwd())})
    try:
        eventually(file.exists)
        groups = json.loads(file.read_text())
        assert [group["labels"]["exporter"] for group in groups] == ["node", "libvirt"] * 2
        for group in groups:
            page = httpx.get(f"http://{group['targets'][0]}{group['labels']['__metrics_path__']}", trust_env=False)
            assert page.status_code == 200
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()


def test_promtool_finds_nothing_wrong_with_the_vms_page(cloud: SimulatedCloud, client: httpx.Client) -> None:
    page = client.get(url(cloud, path="/libvirt/metrics")).content
    checked = subprocess.run([binary("promtool"), "check", "metrics"], input=page, capture_output=True, check=False)
    complaints = [line for line in checked.stderr.decode().splitlines() if "libvirt_domain_" not in line]
    assert complaints == []


def test_a_head_request_is_answered_without_a_body(cloud: SimulatedCloud, client: httpx.Client) -> None:
    answer = client.head(url(cloud))
    assert answer.status_code == 200
    assert answer.content == b""
