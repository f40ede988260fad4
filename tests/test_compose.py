"""What docker-compose.yml promises, without a Docker engine: its services exist as commands, are bounded and healthy,
and have the secrets and settings that they are given.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from api.cli import app
from api.settings import load
from core.settings import Settings

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "starvc:latest"}


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
    given = {key.removeprefix("STARVC_").lower(): value for key, value in OURS[name]["environment"].items()}
    assert given.keys() <= known
    assert {secret.removeprefix("starvc_") for secret in OURS[name]["secrets"]} <= known
    for key, value in given.items():
        monkeypatch.setenv(f"STARVC_{key.upper()}", re.sub(r"\$\{\w+:-(.*)\}", r"\1", value))
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
    config = yaml.safe_load((ROOT / "dashboards/provisioning/prometheus/prometheus.yml").read_text("utf-8"))
    (targets,) = config["scrape_configs"][0]["static_configs"]
    assert {target.partition(":")[0] for target in targets["targets"]} == OURS.keys()
