"""Starting, stopping, and being refused: what an operator meets first."""

from __future__ import annotations

import json
import signal
import socket
import stat
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from api.cli import app
from api.parts import REFUSALS
from api.up import running
from api.wire.client import StarVCenter
from core.settings import Settings
from tests.support.product import Product, command, host_ids, rows
from tests.support.real import free_port

STOP_SECONDS = 10


def test_it_starts_says_where_it_is_stops_cleanly_and_remembers_everything(tmp_path: Path) -> None:
    port = free_port()
    product = Product(tmp_path, port=port).start()
    try:
        assert product.start_seconds < 15
        said = product.log.read_text("utf-8")
        base = f"http://127.0.0.1:{port}"
        for address in ("/", "/starvcenter/services/cloudresource", "/starvcenter/services", "/metrics"):
            assert f"{base}{address}" in said
        assert f"starvc call cloudhost/search --url {base}" in said
        token, hosts = product.platform_token, host_ids(product)
        assert token in said
        assert product.demo_token in said
        for name in ("platform-token", "demo-token", "token.key"):
            assert stat.S_IMODE((product.data / name).stat().st_mode) == 0o600
        assert stat.S_IMODE(product.data.stat().st_mode) == 0o700
        assert _ended(product, signal.SIGTERM) < STOP_SECONDS
        _free(port)
        told = product.log.stat().st_size
        product.start()
        assert product.platform_token == token
        assert host_ids(product) == hosts
        assert token not in product.log.read_text("utf-8")[told:]
        assert _ended(product, signal.SIGINT) < STOP_SECONDS
        _free(port)
    finally:
        product.stop()
    assert not product.errors()


def _ended(product: Product, number: signal.Signals) -> float:
    """Seconds that it took."""
    began = time.monotonic()
    assert product.end(number) == 0
    return time.monotonic() - began


def _free(port: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))


def test_a_folder_that_another_process_holds_is_refused(product: Product) -> None:
    refused = command(product.data, "up", port=0)
    assert refused.returncode == 1
    assert "cannot start" in refused.stderr
    assert str(product.data) in refused.stderr
    assert "Traceback" not in refused.stderr
    assert rows(product.platform("cloudhost/search"))


def test_a_port_in_use_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = command(tmp_path / "data", "up", port=port)
    assert refused.returncode == 1
    assert "cannot start" in refused.stderr
    assert f"127.0.0.1:{port}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "data").exists()


def test_bad_settings_are_refused_all_at_once_and_by_name(tmp_path: Path) -> None:
    wrong: dict[str, Any] = {"port": "http", "scrape_interval": 0, "scrape_timeout": -1, "sim_hosts": "many"}
    wrong["log_level"] = "LOUD"
    refused = command(tmp_path / "data", "up", **wrong)
    assert refused.returncode == 1
    for name in wrong:
        assert f"STARVC_{name.upper()}: " in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timezone", "Mars/Olympus"),
        ("raw_retention", 240),
        ("database_url", "mongodb://nowhere"),
        ("rules_file", Path("/nowhere/rules.yaml")),
        ("platform_token", "short"),
        ("host", "no-such-host.invalid"),
    ],
)
def test_what_only_a_start_can_find_wrong_is_refused_by_name(tmp_path: Path, name: str, value: object) -> None:
    settings = Settings(data_dir=tmp_path / "data", **{"port": 0, "sim_hosts": 0, name: value})  # type: ignore[arg-type]
    with pytest.raises(REFUSALS) as refused, running(settings):
        pytest.fail("it started")
    assert name in str(refused.value) or str(value) in str(refused.value)


def test_vms_without_hosts_are_no_refusal_for_an_operator_who_turns_the_simulation_off(tmp_path: Path) -> None:
    """`STARVC_SIM_HOSTS=0` alone is enough, and the token of the environment is the platform's."""
    token = "a-token-from-the-environment"
    with Product(tmp_path, sim_hosts=0, sim_vms=24, platform_token=token) as product:
        with StarVCenter(product.url, token) as platform:
            assert [host["host.id"] for host in rows(platform("cloudhost/search"))] == ["host-local"]
            assert rows(platform("cloudvm/search")) == []
        said = product.log.read_text("utf-8")
        assert "STARVC_PLATFORM_TOKEN" in said
        assert token not in said
        answer = httpx.post(f"{product.url}/simulation/heal", headers={"KEY_TOKEN": token}, trust_env=False)
        assert answer.status_code == 404
    assert not product.errors()


def test_config_shows_the_settings_in_force_and_masks_secrets(tmp_path: Path) -> None:
    secret = "a-token-nobody-may-read"
    url = "postgresql://starvc:a-password@127.0.0.1/starvc"
    shown = command(tmp_path / "data", "config", platform_token=secret, database_url=url, scrape_interval=7)
    assert shown.returncode == 0, shown.stderr
    assert secret not in shown.stdout
    assert "a-password" not in shown.stdout
    values = dict(line.split() for line in shown.stdout.splitlines() if len(line.split()) == 2)
    assert values["STARVC_PLATFORM_TOKEN"] == "********"
    assert values["STARVC_DATABASE_URL"] == "********"
    assert values["STARVC_SCRAPE_INTERVAL"] == "7.0"


def test_settings_come_from_a_dotenv_and_a_toml_file_too(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".env").write_text("STARVC_SIM_HOSTS=3\nSTARVC_SIM_VMS=5\n", "utf-8")
    (elsewhere / "starvc.toml").write_text("sim_vms = 9\nsim_seed = 42\n", "utf-8")
    shown = json.loads(command(tmp_path / "data", "config", "--json").stdout)
    assert (shown["sim_hosts"], shown["sim_vms"], shown["sim_seed"]) == ("3", "5", "42")


def test_call_speaks_the_wire_format_for_people(product: Product) -> None:
    called = command(product.data, "call", "cloudvm/search", '{"vm.id": "vm-sim-00001"}', "--url", product.url)
    assert called.returncode == 0, called.stderr
    answer = json.loads(called.stdout)
    assert answer["dataCount"] == 1
    assert answer["data"][0]["vm.id"] == "vm-sim-00001"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("cloudvm/search", "{"), "not JSON"),
        (("cloudvm/search", "[]"), "must be a JSON object"),
        (("cloudvm/nothing/there",), "cloudvm/nothing/there"),
        (("cloudvm/search", '{"page.startnum": 1, "page.everypagenum": 31}'), "page.everypagenum"),
        (("cloudvm/search", "--token", "wrong"), "1003"),
        (("cloudvm/search", "--url", "http://127.0.0.1:9"), "cannot be reached"),
    ],
)
def test_a_call_that_fails_says_why(product: Product, arguments: tuple[str, ...], reason: str) -> None:
    options = ("--url", product.url, "--token", product.platform_token)
    called = CliRunner().invoke(app, ["call", *options, *arguments])
    assert called.exit_code == 1
    assert reason in called.stderr
