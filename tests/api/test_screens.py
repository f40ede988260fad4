"""The VNC servers of simulated VMs, spoken to on their ports."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from api.simulation import screens
from api.simulation.screens import Screens
from core.clock import VirtualClock
from core.drivers.compute import Refused, VmAt
from core.drivers.simulated import screen
from core.drivers.simulated.compute import SimulatedCompute
from core.drivers.simulated.faults import Action, Fault
from core.drivers.simulated.rfb import PixelFormat, response
from core.sealing import sealing_keys
from core.settings import Settings
from tests.support.real import eventually
from tests.support.world import MemoryWorld


class Bench:
    """A VM that runs, its driver, and the screens behind it."""

    def __init__(self, folder: Path) -> None:
        self.world = MemoryWorld(VirtualClock(), hosts=1, vms=2)
        self.keys = sealing_keys(Settings(data_dir=folder))
        self.screens = Screens(self.world, self.keys)
        self.driver = SimulatedCompute(self.world, 0, self.screens)
        vm = self.world.fleet.vms[0]
        self.at = VmAt(self.world.fleet.centre.hosts[vm.host].id, vm.id)

    def connect(self) -> socket.socket:
        found = self.driver.vnc(self.at)
        return socket.create_connection((found.host, found.port), timeout=10)

    def listens(self, port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.screens.start()
    yield made
    made.screens.stop()


def _read(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        chunk = connection.recv(size - len(found))
        assert chunk, f"closed after {found!r}"
        found += chunk
    return found


def _enter(connection: socket.socket) -> None:
    """Without a password, up to the end of ServerInit."""
    assert _read(connection, 12) == b"RFB 003.008\n"
    connection.sendall(b"RFB 003.008\n")
    assert _read(connection, 2) == b"\x01\x01"
    connection.sendall(b"\x01")
    assert _read(connection, 4) == bytes(4)
    connection.sendall(b"\x01")
    _read(connection, 20)
    _read(connection, int.from_bytes(_read(connection, 4)))


def _ended(connection: socket.socket) -> bool:
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return True


def test_a_vm_without_a_password_lets_everybody_in(bench: Bench) -> None:
    with bench.connect() as connection:
        _enter(connection)


def test_other_requests_are_read_and_the_client_chooses_its_pixels(bench: Bench) -> None:
    small = PixelFormat(16, 16, False, (31, 63, 31), (11, 5, 0))
    with bench.connect() as connection:
        _enter(connection)
        connection.sendall(struct.pack(">B3x", 0) + small.pack())
        connection.sendall(struct.pack(">BxHii", 2, 2, 7, 0))
        connection.sendall(struct.pack(">BBxxI", 4, 1, 0x61) + struct.pack(">BBHH", 5, 1, 10, 10))
        connection.sendall(struct.pack(">B3xI", 6, 5) + b"hello")
        connection.sendall(struct.pack(">BBHHHH", 3, 0, 8, 16, 100, 60000))
        head = struct.unpack(">BxHHHHHi", _read(connection, 16))
        assert head == (0, 1, 8, 16, 100, screen.HEIGHT - 16, 0)
        assert len(_read(connection, 2 * 100 * (screen.HEIGHT - 16))) > 0


@pytest.mark.parametrize(
    "sent",
    [b"\xff" * 20, struct.pack(">B3xI", 6, 1 << 30), struct.pack(">B3x", 0) + replace(PixelFormat(), bits=24).pack()],
)
def test_what_is_not_spoken_ends_the_connection(bench: Bench, sent: bytes) -> None:
    with bench.connect() as connection:
        _enter(connection)
        connection.sendall(sent)
        assert _ended(connection)


def test_another_version_is_told_so(bench: Bench) -> None:
    with bench.connect() as connection:
        _read(connection, 12)
        connection.sendall(b"RFB 003.003\n")
        assert _read(connection, 1) == b"\0"
        assert b"3.8" in _read(connection, int.from_bytes(_read(connection, 4)))
        assert _ended(connection)


def test_the_password_outlives_the_process_sealed(bench: Bench, tmp_path: Path) -> None:
    bench.driver.set_vnc_password(bench.at, "k9$Wm!xB")
    assert "k9$Wm!xB" not in repr(bench.world.dump())
    again = Screens(bench.world.reborn(), bench.keys)
    again.start()
    try:
        found = again.open(bench.at)
        with socket.create_connection((found.host, found.port), timeout=10) as connection:
            _read(connection, 12)
            connection.sendall(b"RFB 003.008\n")
            assert _read(connection, 2) == b"\x01\x02"
            connection.sendall(b"\x02")
            connection.sendall(response(_read(connection, 16), "k9$Wm!xB"))
            assert _read(connection, 4) == bytes(4)
    finally:
        again.stop()


def test_a_password_whose_key_is_gone_lets_nobody_in(bench: Bench) -> None:
    bench.world.change(lambda fleet, _: fleet.records.consoles.update({bench.at.vm_id: "v1.00000000.AAAAAAAAAAAAAAAA"}))
    with bench.connect() as connection:
        assert _ended(connection)


@pytest.mark.parametrize("action", [Action.CRASH_HOST, Action.CUT_LINK])
def test_the_console_goes_with_the_host(bench: Bench, action: Action) -> None:
    port = bench.driver.vnc(bench.at).port
    with closing(bench.connect()) as connection:
        _enter(connection)
        bench.world.inject(Fault(action, bench.at.host_id))
        assert _ended(connection)
    eventually(lambda: not bench.listens(port))


def test_the_console_goes_with_the_vm_and_comes_back_with_it(bench: Bench) -> None:
    port = bench.driver.vnc(bench.at).port
    assert bench.driver.vnc(bench.at).port == port
    bench.driver.ensure_off(bench.at)
    eventually(lambda: not bench.listens(port))
    with pytest.raises(Refused):
        bench.driver.vnc(bench.at)
    bench.driver.ensure_on(bench.at)
    with bench.connect() as connection:
        _enter(connection)


def test_a_listener_that_nobody_uses_goes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    port = bench.driver.vnc(bench.at).port
    with bench.connect() as connection:
        _enter(connection)
        monkeypatch.setattr(screens, "_KEPT", 0.0)
        connection.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, 1, 1))
        _read(connection, 20)
        assert bench.listens(port)
    eventually(lambda: not bench.listens(port))


def test_stopping_ends_what_is_looked_at(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.screens.start()
    with bench.connect() as connection:
        _enter(connection)
        bench.screens.stop()
        assert _ended(connection)
