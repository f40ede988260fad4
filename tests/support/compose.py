"""docker-compose.yml as Docker would run it: with its anchors and defaults put in."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.real import require

ROOT: Final = Path(__file__).parents[2]
FILE: Final = ROOT / "docker-compose.yml"
COMPOSE: Final[Mapping[str, Any]] = yaml.safe_load(FILE.read_text("utf-8"))
SERVICES: Final[Mapping[str, Any]] = COMPOSE["services"]
OURS: Final = {name: service for name, service in SERVICES.items() if service.get("image") == "starvc:latest"}
_DEFAULTED: Final = re.compile(r"\$\{\w+:-([^}]*)\}")


def given(name: str) -> dict[str, str]:
    """The environment of one of our services, when the operator sets nothing."""
    return {key: _DEFAULTED.sub(r"\1", value) for key, value in OURS[name]["environment"].items()}


def understood() -> Mapping[str, Any]:
    """The file as docker compose understands it; skips where neither the plugin nor the program is installed."""
    shown = subprocess.run(
        [*_program(), "-f", str(FILE), "config", "--format", "json"], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    answer: Mapping[str, Any] = json.loads(shown.stdout)
    return answer


def _program() -> Sequence[str]:
    plugin = ("docker", "compose")
    if (
        shutil.which("docker")
        and subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode == 0
    ):
        return plugin
    return (require("docker-compose", shutil.which("docker-compose")),)
