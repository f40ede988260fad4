"""What docker-compose.yml promises, without a Docker engine: its services exist as commands, are bounded and healthy,
and have the secrets and settings that they are given. `tests/stories/test_composed.py` runs them.
"""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from aggregator.notify import config as notify
from api.cli import app
from api.settings import load
from core.settings import Settings
from tests.support.compose import COMPOSE, OURS, ROOT, SERVICES, given, understood
from tests.support.real import binary

PROVISIONING = ROOT / "dashboards" / "provisioning"


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    made = CliRunner().invoke(app, ["secrets", str(tmp_path / "secrets")])
    assert made.exit_code == 0, made.output
    return tmp_path / "secrets"


def test_all_parts_are_there() -> None:
    others = {"postgres", "influxdb", "prometheus", "alertmanager", "grafana"}
    assert SERVICES.keys() == {*others, "api", "collector-1", "collector-2", "aggregator"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_bounded_and_looked_after(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert name in OURS or "healthcheck" in service
    assert set(service.get("depends_on", ())) <= SERVICES.keys()


@pytest.mark.parametrize("name", OURS)
def test_our_commands_and_options_exist(name: str) -> None:
    command, *arguments = OURS[name]["command"]
    known: Any = typer.main.get_command(app)
    parameters = {option for parameter in known.commands[command].params for option in parameter.opts}
    assert {argument for argument in arguments if argument.startswith("--")} <= parameters


@pytest.mark.parametrize("name", OURS)
def test_our_containers_write_only_into_their_volume(name: str) -> None:
    assert OURS[name]["read_only"] is True
    (volume,) = OURS[name]["volumes"]
    assert volume.endswith(":/var/lib/starvc")
    assert volume.partition(":")[0] in COMPOSE["volumes"]


@pytest.mark.parametrize("name", OURS)
def test_settings_and_secrets_are_ours_and_are_read(name: str, secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {field.name for field in dataclasses.fields(Settings)}
    told = given(name)
    assert {key.removeprefix("STARVC_").lower() for key in told} <= known
    assert {secret.removeprefix("starvc_") for secret in OURS[name]["secrets"]} <= known
    for key, value in told.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("STARVC_SECRETS", str(secrets))
    settings = load()
    assert settings.sim_hosts == 0
    for secret in OURS[name]["secrets"]:
        assert getattr(settings, secret.removeprefix("starvc_")) == (secrets / secret).read_text().strip()


def test_secrets_are_made_once_and_all_of_them(secrets: Path) -> None:
    before = {file.name: file.read_text() for file in secrets.iterdir()}
    assert before.keys() == COMPOSE["secrets"].keys()
    assert CliRunner().invoke(app, ["secrets", str(secrets)]).exit_code == 0
    assert {file.name: file.read_text() for file in secrets.iterdir()} == before
    assert secrets.stat().st_mode & 0o077 == 0


def test_prometheus_scrapes_every_part() -> None:
    config = yaml.safe_load((PROVISIONING / "prometheus" / "prometheus.yml").read_text("utf-8"))
    (targets,) = config["scrape_configs"][0]["static_configs"]
    assert {target.partition(":")[0] for target in targets["targets"]} == OURS.keys()


def test_docker_compose_understands_it_as_these_tests_do() -> None:
    shown = understood()
    assert shown["services"].keys() == SERVICES.keys()
    for name, service in OURS.items():
        there = shown["services"][name]
        assert there["command"] == service["command"]
        assert there["environment"] == given(name)
        assert [secret["target"] for secret in there["secrets"]] == [
            f"/run/secrets/{one}" for one in service["secrets"]
        ]


def test_every_file_that_is_mounted_is_there() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ()) if mount.startswith("./")]
    files = [mount.partition(":")[0] for mount in mounts] + [one["file"] for one in COMPOSE["configs"].values()]
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


@pytest.mark.parametrize(
    ("program", "arguments", "file"),
    [
        ("promtool", ("check", "config"), "prometheus/prometheus.yml"),
        ("amtool", ("check-config",), "alertmanager/alertmanager.yml"),
    ],
)
def test_the_peers_find_nothing_wrong_with_their_files(program: str, arguments: tuple[str, ...], file: str) -> None:
    checked = subprocess.run(
        [binary(program), *arguments, str(PROVISIONING / file)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_alarms_go_to_the_alertmanager_of_the_file() -> None:
    routes = notify.load(PROVISIONING / "notify.yml")
    assert [receiver.alertmanager for receiver in routes.receivers.values()] == ["http://alertmanager:9093"]
    assert OURS["aggregator"]["environment"]["STARVC_NOTIFY_FILE"] == OURS["aggregator"]["configs"][0]["target"]
