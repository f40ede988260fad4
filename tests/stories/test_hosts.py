"""Stories about hosts: what happens, second by second, and the history that must come of it.

A story: `hosts` (a number or names), `interval`, `controlled` (do hosts have power controllers), `fences`, `vms`
(name: host), `events` (seconds: what happens), `seconds` (how long it goes on), `log` (the whole expected history;
`!` marks what is urgent), `states` (at the end), `fenced` (the hosts that somebody tried to switch off).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from sqlalchemy import update

from core.db.engine import Database
from core.hosts.rows import Host
from tests.support.hosts import Cloud, Condition
from tests.support.state import on_one_kind

FOLDER: Final = Path(__file__).parent / "hosts"


@on_one_kind
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_story(path: Path, database: Database, tmp_path: Path) -> None:
    story = yaml.safe_load(path.read_text("utf-8"))
    cloud = Cloud(
        database, tmp_path, **{key: story[key] for key in ("interval", "controlled", "fences") if key in story}
    )
    cloud.add_hosts(*(f"h{number}" for number in range(1, story["hosts"] + 1)))
    for name, host in story.get("vms", {}).items():
        cloud.add_vm(name, host)
    now = 0
    for moment in [*story["events"], story["seconds"]]:
        cloud.run(moment - now)
        now = moment
        for what in story["events"].get(moment, ()):
            happen(cloud, what)
    assert "\n".join(cloud.log()) == "\n".join(story["log"])
    assert {name: int(cloud.state(name)) for name in story["states"]} == story["states"]
    assert sorted(set(cloud.fenced)) == story.get("fenced", [])
    cloud.close()


def happen(cloud: Cloud, what: Mapping[str, Any]) -> None:
    ((verb, argument),) = what.items()
    DEEDS[verb](cloud, argument)


def become(condition: Condition) -> Callable[[Cloud, Any], None]:
    def change(cloud: Cloud, names: str | list[str]) -> None:
        for name in [names] if isinstance(names, str) else names:
            cloud.conditions[name] = condition

    return change


def maintain(cloud: Cloud, setting: Mapping[str, bool]) -> None:
    with cloud.database.platform(write=True) as session:
        for name, wanted in setting.items():
            session.execute(update(Host).where(Host.id == name).values(maintenance=wanted))


def set_field(field: str) -> Callable[[Cloud, Any], None]:
    return lambda cloud, value: setattr(cloud, field, value)


def restart(cloud: Cloud, seconds: float) -> None:
    """Our own process is away for a while, and comes back with an empty memory."""
    cloud.clock.advance(seconds)
    cloud.watches = [cloud.watch("detector-b")]


DEEDS: Final[Mapping[str, Callable[[Cloud, Any], None]]] = {
    "crash": become(Condition.CRASHED),
    "cut": become(Condition.CUT),
    "darken": become(Condition.DARK),
    "hang": become(Condition.HUNG),
    "garble": become(Condition.GARBLED),
    "heal": become(Condition.UP),
    "maintenance": maintain,
    "link": set_field("link"),
    "fences": set_field("fences"),
    "store": set_field("store_up"),
    "away": restart,
    "set_clock": lambda cloud, seconds: cloud.clock.jump(seconds),
}
