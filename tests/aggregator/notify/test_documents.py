"""The example in `docs/notifications.md` is a file that works."""

from __future__ import annotations

import re
from pathlib import Path

from aggregator.notify.config import parse
from core.alarms.machine import Change
from tests.support.announcements import announcement

GUIDE = (Path(__file__).parents[3] / "docs" / "notifications.md").read_text("utf-8")


def test_the_example_is_a_file_of_receivers_and_routes() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    found = parse("notifications.md", example.replace("TOKEN", "0123456789abcdef0123456789abcdef"))
    assert list(found.receivers) == ["on-call", "tickets", "am"]
    assert set(found(announcement(labels={"team": "compute"}))) == {"on-call", "tickets", "am"}


def test_every_change_that_a_route_may_name_is_in_the_guide() -> None:
    told = set(Change) - {Change.ACKNOWLEDGED, Change.SHELVED}
    assert {change for change in told if f"`{change}`" not in GUIDE} == set()


def test_the_message_that_is_shown_has_the_fields_of_a_message() -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)
    assert set(re.findall(r'"(\w+)": ', shown)) - {"zh", "en"} == announcement().payload().keys()
