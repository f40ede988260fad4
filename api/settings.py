"""Where settings come from: the environment, then files of secrets, then a `.env` file, then a TOML file.
`core.settings.Settings` lists them.

A secret's file is named after its variable, in lower case or not, and stands in /run/secrets, where containers find
theirs, or in the folder that STARVC_SECRETS names. The TOML file is `starvc.toml` in the working folder, or the one
that STARVC_CONFIG names.
"""

from __future__ import annotations

import dataclasses
import os
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, create_model
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from core.settings import Settings

PREFIX = "STARVC_"
MASK = "********"


class SettingsError(Exception):
    """A setting is wrong; the text names it, what was wrong and what is allowed, a line each."""


class _Sources(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", env_ignore_empty=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (its folder is known only now)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = TomlConfigSettingsSource(settings_cls, _toml_file())
        folder = _secrets()
        secrets = () if folder is None else (SecretsSettingsSource(settings_cls, folder),)
        return init_settings, env_settings, *secrets, dotenv_settings, toml


def _secrets() -> Path | None:
    named = os.environ.get("STARVC_SECRETS")
    if named and not Path(named).is_dir():
        raise SettingsError(f"STARVC_SECRETS: there is no folder {named}")
    folder = Path(named or "/run/secrets")
    return folder if folder.is_dir() else None


def _toml_file() -> Path:
    named = os.environ.get("STARVC_CONFIG")
    if named and not Path(named).is_file():
        raise SettingsError(f"STARVC_CONFIG: there is no file {named}")
    return Path(named or "starvc.toml")


def _model() -> type[_Sources]:
    hints = typing.get_type_hints(Settings, include_extras=True)
    fields: dict[str, Any] = {
        item.name: (hints[item.name], Field(item.default, description=item.metadata["meaning"]))
        for item in dataclasses.fields(Settings)
    }
    return create_model("StarvcSettings", __base__=_Sources, **fields)


def load(overrides: Mapping[str, object] | None = None) -> Settings:
    """The effective settings. Raises SettingsError with all that is wrong."""
    try:
        read = _model()(**typing.cast("Any", overrides or {}))
    except ValidationError as error:
        raise SettingsError("\n".join(_complaints(error))) from None
    return Settings(**{item.name: getattr(read, item.name) for item in dataclasses.fields(Settings)})


def _complaints(error: ValidationError) -> Iterator[str]:
    for item in error.errors():
        name = "".join(map(str, item["loc"][:1]))
        yield f"{PREFIX}{name.upper()}: {item['msg']}, not {item['input']!r}"


def masked(settings: Settings) -> dict[str, str]:
    """Names and values for people: secrets that are set are shown as such, and not told."""
    return {
        item.name: MASK if item.metadata["secret"] and value is not None else "" if value is None else str(value)
        for item in dataclasses.fields(Settings)
        for value in (getattr(settings, item.name),)
    }


def markdown() -> str:
    """The table of all settings, as `docs/settings.md` has it."""
    rows = "".join(
        f"| `{PREFIX}{item.name.upper()}` | {_shown(item.default)} | {item.metadata['meaning']} |\n"
        for item in dataclasses.fields(Settings)
    )
    return f"| variable | default | meaning |\n|---|---|---|\n{rows}"


def _shown(default: object) -> str:
    return "" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"
