"""The services of docker-compose.yml without Docker: their own commands, environments and secrets, as a user without
rights in a folder that cannot be written, on a real PostgreSQL and a real InfluxDB, or VictoriaMetrics where there is
none. Only the names of hosts are replaced.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from api.agent import PATH, agent_server
from api.cli import app
from api.serving import listen
from api.wire.client import StarVCenter
from tests.support import stores
from tests.support.compose import OURS, given
from tests.support.postgres import Server
from tests.support.process import Process
from tests.support.product import rows
from tests.support.real import eventually

USER = 10001
"""The image's."""
TOKEN_FILE, STORE_TOKEN_FILE, DATABASE_FILE = "starvc_platform_token", "starvc_store_token", "starvc_database_url"


class Contained(Process):
    """As in the image: a user of its own, a working folder that it cannot write, and its volume."""

    as_whom = (
        ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs")
        if os.geteuid() == 0
        else ()
    )

    def __init__(self, folder: Path, *arguments: str, **settings: object) -> None:
        super().__init__(folder, *arguments, **settings)
        self.data.mkdir(mode=0o700, parents=True)
        if os.geteuid() == 0:
            os.chown(self.data, USER, USER)
        self.log.touch()
        folder.chmod(0o555)


@contextmanager
def reachable() -> Iterator[Path]:
    """A folder that other users enter, which those of pytest are not."""
    folder = Path(tempfile.mkdtemp(prefix="starvc-composed-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        for part in folder.iterdir():
            part.chmod(0o755)
        shutil.rmtree(folder)


@contextmanager
def time_series(folder: Path) -> Iterator[str]:
    """A server's setting."""
    named = given("api")["STARVC_STORE"]
    if shutil.which("influxd") or "STARVC_TEST_INFLUXDB_URL" in os.environ:
        with stores.influx(folder) as running:
            yield f"{named.replace('http://influxdb:8086', running.url)}&prefix={running.name()}"
    else:
        with stores.victoria(folder) as running:
            yield f"victoria+{running.url}?prefix={running.name()}"


def handed(name: str, secrets: Path, folder: Path) -> Path:
    """The folder of the secrets that this service is given, and of no other."""
    folder.mkdir(mode=0o755)
    for secret in OURS[name]["secrets"]:
        shutil.copy(secrets / secret, folder)
    return folder


def started(name: str, folder: Path, secrets: Path, parts: ExitStack, urls: Mapping[str, str], store: str) -> Contained:
    environment: dict[str, object] = {
        **{key.removeprefix("STARVC_").lower(): value for key, value in given(name).items()},
        "store": store,
        "database_url": "",  # a secret has it, and where it has not, nobody
        "secrets": handed(name, secrets, folder / f"{name}-secrets"),
        "scrape_interval": 1,
    }
    if "notify_file" in environment:
        environment["notify_file"] = folder / "notify.yml"
    command = [word.replace("http://api:18081", urls.get("api", "")) for word in OURS[name]["command"]]
    part = Contained(folder / name, *command, **environment)
    parts.callback(part.stop)
    return part.start()


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    assert CliRunner().invoke(app, ["secrets", str(tmp_path / "secrets")]).exit_code == 0
    return tmp_path / "secrets"


def test_the_services_work_together_and_need_no_rights(tmp_path: Path, secrets: Path, postgresql: Server) -> None:
    with (
        reachable() as folder,
        postgresql.database() as url,
        time_series(tmp_path) as store,
        ExitStack() as parts,
    ):
        (secrets / DATABASE_FILE).write_text(url.replace("postgresql+psycopg", "postgresql"))
        (secrets / STORE_TOKEN_FILE).write_text(stores.influx_token())
        (folder / "notify.yml").write_text("receivers: []\nroutes: []\n")
        running: dict[str, Contained] = {}
        for name in ("api", "collector-1", "collector-2", "aggregator"):
            urls = {known: part.url for known, part in running.items()}
            running[name] = started(name, folder, secrets, parts, urls, store)
        assert running.keys() == OURS.keys()
        page = parts.enter_context(machine())
        token = (secrets / TOKEN_FILE).read_text().strip()
        with StarVCenter(running["api"].url, token, language="en") as client:
            host = registered(client, page)
            asked = {"monitor.obj.type": "host", "monitor.objids": [host]}
            eventually(lambda: rows(client("cloudmonitor/compute/currents", asked))[0]["monitor.cpu.rate"], 40, 0.2)
        explained(running["api"].url, token, host)
        replayed({"database_url": url, "store": store, "store_token": stores.influx_token()}, host)
        eventually(lambda: 'starvc_lease_held{lease="alarms"} 1.0' in running["aggregator"].metrics(), 20, 0.2)
        assert [line for part in running.values() for line in part.errors()] == []
        assert [part.end(15) for part in running.values()] == [0, 0, 0, 0]


@contextmanager
def machine() -> Iterator[str]:
    """The page of a host."""
    with closing(listen("127.0.0.1", 0)) as listener:
        agent = agent_server(listener)
        agent.start()
        yield f"http://127.0.0.1:{agent.port}{PATH}"
        agent.stop()


def registered(client: StarVCenter, page: str) -> Any:
    host = {"host.name": "real", "host.ip": "127.0.0.1", "host.exporter.url": page}
    answer = client("cloudhost/register", host)
    assert answer.succeeded, answer.text
    return answer.data["host.id"]


def explained(url: str, token: str, host: str) -> None:
    """By an API that evaluates no rules itself."""
    with httpx.Client(base_url=url, headers={"KEY_TOKEN": token}, timeout=30, trust_env=False) as client:
        answer = client.get("/rules/host-unreachable/explain", params={"object": host})
        assert answer.status_code == 200, answer.text
        assert [one["verdicts"] for one in answer.json()] == [{"high": "clear"}]
        assert client.get("/rules/no-such-rule/explain", params={"object": host}).status_code == 404


def replayed(settings: Mapping[str, str], host: str) -> None:
    """The commands that read beside the product read its servers."""
    line = CliRunner(env={f"STARVC_{name.upper()}": value for name, value in settings.items()})
    told = line.invoke(app, ["rules", "explain", "host-unreachable", host])
    assert (told.exit_code, "clear" in told.output) == (0, True), told.output
    played = line.invoke(app, ["rules", "replay", "--since", "5m"])
    assert (played.exit_code, "host-unreachable" in played.output) == (0, True), played.output
