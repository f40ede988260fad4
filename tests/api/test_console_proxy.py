"""Consoles from end to end: an API on a real port, a ticket, a WebSocket, and the VNC server of a simulated VM."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from api import console_proxy
from api.app import create_app
from api.serving import BackgroundServer, listen
from api.simulation.screens import Screens
from api.wire import codec
from api.wire.client import StarVCenter
from core.audit.rows import AuditEntry
from core.compute import console_tickets
from core.compute.console_rows import ConsoleTicket
from core.drivers.simulated.faults import Action, Deed, Fault
from core.metrics import REGISTRY
from core.sealing import sealing_keys
from tests.api.conftest import Cloud
from tests.support.product import fields, rows
from tests.support.real import eventually
from tests.support.vnc import Rejected, viewing

PASSWORD = "k9$Wm!xB"


@dataclass
class Served:
    """A cloud whose VMs have screens, on a real port; `vm` of alice runs."""

    cloud: Cloud
    server: BackgroundServer
    screens: Screens
    vm: str
    port: int

    def connection(self, vm: str = "", client: StarVCenter | None = None) -> dict[str, Any]:
        path = f"cloudvm/connection/{vm or self.vm}"
        return fields((client or self.cloud.alice).call("GET", path))

    def url(self, client: StarVCenter | None = None) -> str:
        """Of a fresh ticket; the wire is reached in the process, the WebSocket through the port."""
        ticket = self.connection(client=client)["vm.console.url"].removeprefix("ws://cloud/console/")
        return f"ws://127.0.0.1:{self.port}/console/{ticket}"


@pytest.fixture
def serve(make_cloud: Callable[..., Cloud]) -> Iterator[Callable[..., Served]]:
    with ExitStack() as parts:

        def make(**settings: object) -> Served:
            cloud = make_cloud(**settings)
            cloud.connect()
            screens = Screens(cloud.world, sealing_keys(cloud.services.settings))
            screens.start()
            parts.callback(screens.stop)
            cloud.engine.driver._consoles = screens  # type: ignore[attr-defined]
            app = create_app(cloud.services, REGISTRY, None)
            server = BackgroundServer("api", app, [listen("127.0.0.1", 0)], proxies="127.0.0.1")
            server.start()
            parts.callback(server.stop)
            return Served(cloud, server, screens, _opened(cloud, cloud.alice), server.port)

        yield make


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve()


def _opened(cloud: Cloud, client: StarVCenter) -> str:
    vpc = fields(client.call("POST", "cloudnetwork/vpc/create"))["vpc.id"]
    wish = {"vm.tenant.model": "debian-12", "vm.vcpu.num": 1, "vm.memory.mem": 512, "vnic.portgroupid": vpc}
    (made,) = rows(client.call("POST", "cloudvm/create", {**wish, "vm.vncpasswd": PASSWORD}))
    cloud.settle()
    return str(made["vm.id"])


def _refused(url: str) -> int:
    with pytest.raises(InvalidStatus) as refused, connect(url, proxy=None):
        pass
    return refused.value.response.status_code


def _count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def _colours(pixels: bytes) -> int:
    return len({pixels[at : at + 4] for at in range(0, len(pixels), 4)})


def test_a_ticket_opens_the_screen_of_the_vm_once(served: Served) -> None:
    before = _count("starvc_consoles_opened_total"), _count("starvc_console_bytes_total", direction="to_viewer")
    url = served.url()
    with viewing(url) as vnc:
        assert vnc.socket.subprotocol == "binary"
        width, height, name = vnc.log_in(PASSWORD)
        assert (width, height, name) == (640, 400, served.vm)
        assert _count("starvc_consoles_open") == 1
        _, pixels = vnc.picture(width, height)
        assert len(pixels) == width * height * 4
        assert _colours(pixels) == 3
        served.cloud.clock.advance(1)
        first, changed = vnc.picture(width, height, incremental=True)
        assert 0 < first < height
        assert 0 < len(changed) < len(pixels), "only the line of the clock and what is below it"
        assert _refused(url) == 403
    assert _count("starvc_consoles_opened_total") == before[0] + 1
    assert _count("starvc_console_bytes_total", direction="to_viewer") > before[1] + width * height * 4
    eventually(lambda: _count("starvc_consoles_open") == 0)


def test_the_password_decides_and_a_new_one_holds_from_the_next_viewer_on(served: Served) -> None:
    with viewing(served.url()) as vnc, pytest.raises(Rejected, match="the password is wrong"):
        vnc.log_in("another1")
    assert served.cloud.alice.call("POST", "cloudvm/editvncpwd", {"vm.id": served.vm, "vm.vncpasswd": "new"}).succeeded
    served.cloud.settle()
    with viewing(served.url()) as vnc, pytest.raises(Rejected):
        vnc.log_in(PASSWORD)
    with viewing(served.url()) as vnc:
        vnc.log_in("new")


def test_the_address_is_the_one_that_the_caller_knows_and_the_port_that_of_the_vm(served: Served) -> None:
    shown = served.connection()
    assert shown["vm.console.url"].startswith("ws://cloud/console/")
    assert shown["vm.hostip"] == "127.0.0.1"
    assert served.connection()["vm.vncport"] == shown["vm.vncport"], "as long as the VM runs"
    assert served.connection()["vm.console.url"] != shown["vm.console.url"]
    token = fields(served.cloud.platform.call("PUT", "cloudTenant/token", {"app.id": served.cloud.alice_id}))
    transport = httpx.HTTPTransport()
    behind = httpx.Client(transport=transport, headers={"X-Forwarded-Proto": "https", "Host": "cloud.example"})
    with behind, StarVCenter(f"http://127.0.0.1:{served.port}", token["app.token"], transport=transport) as direct:
        plain = fields(direct.call("GET", f"cloudvm/connection/{served.vm}"))["vm.console.url"]
        assert plain.startswith(f"ws://127.0.0.1:{served.port}/console/")
        path = f"/starvcenter/services/cloudresource/cloudvm/connection/{served.vm}"
        answer = behind.get(f"http://127.0.0.1:{served.port}{path}", headers={"KEY_TOKEN": token["app.token"]})
    assert codec.decode(answer.text)["data"]["vm.console.url"].startswith("wss://cloud.example/console/")  # type: ignore[index]


def test_an_expired_ticket_is_refused_and_forgotten(served: Served) -> None:
    url, late = served.url(), served.url()
    served.cloud.clock.advance(59.9)
    with viewing(url) as vnc:
        vnc.log_in(PASSWORD)
    served.cloud.clock.advance(0.1)
    assert _refused(late) == 403
    assert len(_tickets(served)) == 2
    console_tickets.forget(served.cloud.services.database, served.cloud.clock.now())
    assert _tickets(served) == []
    assert _refused(late) == 404


def _tickets(served: Served) -> list[ConsoleTicket]:
    with served.cloud.services.database.platform() as session:
        return list(session.scalars(select(ConsoleTicket)))


@pytest.mark.parametrize("ticket", ["", "x", "a/b", "A" * 43, "A" * 4000, "%2e%2e", "..%2F..%2Fmetrics", "%ff"])
def test_what_is_no_ticket_opens_nothing_and_is_no_error_of_ours(
    served: Served, ticket: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = _count("starvc_consoles_refused_total", reason="unknown")
    assert _refused(f"ws://127.0.0.1:{served.port}/console/{ticket}") == 404
    assert _count("starvc_consoles_refused_total", reason="unknown") == before + 1
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("path", ["/", "/console", "/metrics", "/starvcenter/services/cloudresource/cloudvm/search"])
def test_there_are_no_other_websockets(served: Served, path: str, caplog: pytest.LogCaptureFixture) -> None:
    assert _refused(f"ws://127.0.0.1:{served.port}{path}") in {403, 404}
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_ticket_is_worth_nothing_once_its_token_is_revoked(served: Served) -> None:
    url = served.url()
    _revoke(served)
    assert _refused(url) == 403


def _revoke(served: Served) -> None:
    """The only token of alice."""
    listing = {"app.id": served.cloud.alice_id, "token.action": "list"}
    (listed,) = rows(served.cloud.platform.call("PUT", "cloudTenant/token", listing))
    revoke = {**listing, "token.action": "revoke", "token.id": listed["token.id"]}
    assert served.cloud.platform.call("PUT", "cloudTenant/token", revoke).succeeded


def test_an_open_console_is_closed_when_its_token_is_revoked(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_proxy, "_LOOK_EVERY", 0.05)
    with viewing(served.url()) as vnc:
        vnc.log_in(PASSWORD)
        _revoke(served)
        with pytest.raises(ConnectionClosed) as closed:
            vnc.read(1)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


def test_another_tenants_vm_does_not_exist_and_the_platform_sees_all(served: Served) -> None:
    answer = served.cloud.bob.call("GET", f"cloudvm/connection/{served.vm}")
    assert answer.result == "1"
    assert "vm.console.url" not in repr(answer)
    assert _tickets(served) == []
    with viewing(served.url(served.cloud.platform)) as vnc:
        vnc.log_in(PASSWORD)


def test_a_vm_that_stops_closes_its_console_and_has_none(served: Served) -> None:
    url = served.url()
    with viewing(served.url()) as vnc:
        vnc.log_in(PASSWORD)
        assert served.cloud.alice.call("PUT", "cloudvm/destroy", {"vm.id": served.vm}).succeeded
        served.cloud.settle()
        with pytest.raises(ConnectionClosed):
            vnc.read(1)
    assert _refused(url) == 409
    answer = served.cloud.alice.call("GET", f"cloudvm/connection/{served.vm}")
    assert answer.result == "1"


def test_a_host_that_does_not_answer_shows_no_console(served: Served) -> None:
    url = served.url()
    served.cloud.world.inject(Fault(Action.FAIL_OPERATION, served.vm, Deed.CONSOLE))
    assert _refused(url) == 502
    assert served.cloud.alice.call("GET", f"cloudvm/connection/{served.vm}").result == "1"


def test_a_console_in_which_nothing_happens_is_closed(serve: Callable[..., Served]) -> None:
    served = serve(console_idle_seconds=0.3)
    with viewing(served.url()) as vnc:
        vnc.log_in(PASSWORD)
        with pytest.raises(ConnectionClosed) as closed:
            vnc.read(1)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


def test_one_console_too_many_is_refused_and_its_ticket_stays_good(serve: Callable[..., Served]) -> None:
    served = serve(console_limit=1)
    url = served.url()
    with viewing(served.url()) as vnc:
        vnc.log_in(PASSWORD)
        assert _refused(url) == 503
    eventually(lambda: _count("starvc_consoles_open") == 0)
    with viewing(url) as vnc:
        vnc.log_in(PASSWORD)


def test_text_ends_a_console(served: Served) -> None:
    with viewing(served.url()) as vnc:
        vnc.log_in(PASSWORD)
        vnc.socket.send("hello")
        with pytest.raises(ConnectionClosed) as closed:
            vnc.read(1)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1003


def test_the_server_stops_with_a_console_open(served: Served) -> None:
    with viewing(served.url()) as vnc:
        vnc.log_in(PASSWORD)
        served.server.stop()
        with pytest.raises(ConnectionClosed) as closed:
            vnc.read(1)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert _count("starvc_consoles_open") == 0


def test_no_log_and_no_audit_entry_has_a_ticket(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with capture_logs() as events, caplog.at_level(logging.INFO):
        logging.getLogger("uvicorn").setLevel(logging.WARNING)  # as core.log does
        url = served.url()
        with viewing(url) as vnc:
            vnc.log_in(PASSWORD)
        assert _refused(url) == 403
        eventually(lambda: any(event["event"] == "console_closed" for event in events))
    ticket = url.rpartition("/")[2]
    assert {event["event"] for event in events} >= {"console_opened", "console_closed", "console_refused"}
    assert ticket not in repr(events) + caplog.text
    with served.cloud.services.database.platform() as session:
        entries = [vars(entry) for entry in session.scalars(select(AuditEntry))]
        assert any(entry["operation"] == "GET cloudvm/connection/{vmId}" for entry in entries)
        assert ticket not in repr(entries)
        assert ticket not in repr([vars(row) for row in session.scalars(select(ConsoleTicket))])
