"""Settings come from the environment, then .env, then TOML; what is wrong is named; what is secret is not told."""

import re
from pathlib import Path

import pytest

from api.settings import MASK, SettingsError, load, markdown, masked
from core.settings import Settings


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.__slots__:
        monkeypatch.delenv(f"STARVC_{name.upper()}", raising=False)


def test_without_anything_the_defaults_are_in_force() -> None:
    assert load() == Settings()


def test_the_environment_wins_over_env_file_over_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "starvc.toml").write_text('port = 1\nhost = "toml"\ntimezone = "Asia/Shanghai"\n')
    (tmp_path / ".env").write_text("STARVC_PORT=2\nSTARVC_HOST=env-file\n")
    monkeypatch.setenv("STARVC_PORT", "3")
    settings = load()
    assert (settings.port, settings.host, settings.timezone) == (3, "env-file", "Asia/Shanghai")


def test_a_toml_file_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.toml").write_text("sim_hosts = 0\n")
    monkeypatch.setenv("STARVC_CONFIG", str(tmp_path / "other.toml"))
    assert load().sim_hosts == 0


def test_a_secret_may_stand_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STARVC_SECRETS", str(tmp_path))
    (tmp_path / "starvc_database_url").write_text("postgresql://starvc@db/starvc\n")
    (tmp_path / ".env").write_text("STARVC_DATABASE_URL=postgresql://other@db/other\n")
    monkeypatch.chdir(tmp_path)
    assert load().database_url == "postgresql://starvc@db/starvc"
    monkeypatch.setenv("STARVC_DATABASE_URL", "postgresql://winner@db/starvc")
    assert load().database_url == "postgresql://winner@db/starvc"


def test_a_named_folder_of_secrets_that_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STARVC_SECRETS", "/nowhere")
    with pytest.raises(SettingsError, match="STARVC_SECRETS: there is no folder /nowhere"):
        load()


def test_a_named_file_that_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STARVC_CONFIG", "/nowhere.toml")
    with pytest.raises(SettingsError, match=re.escape("STARVC_CONFIG: there is no file /nowhere.toml")):
        load()


def test_everything_that_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STARVC_PORT", "70000")
    monkeypatch.setenv("STARVC_SCRAPE_INTERVAL", "often")
    with pytest.raises(SettingsError) as refusal:
        load()
    assert "STARVC_PORT" in str(refusal.value)
    assert "STARVC_SCRAPE_INTERVAL" in str(refusal.value)


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STARVC_TIMEZONE", "")
    assert load().timezone is None


def test_secrets_are_masked_and_absent_ones_look_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STARVC_PLATFORM_TOKEN", "a-very-secret-token")
    shown = masked(load())
    assert shown["platform_token"] == MASK
    assert shown["database_url"] == ""
    assert "a-very-secret-token" not in str(shown)


def test_the_documentation_has_every_setting_as_it_is() -> None:
    document = Path(__file__).parents[2] / "docs" / "settings.md"
    assert markdown() in document.read_text(encoding="utf-8"), "run: starvc config --markdown"
