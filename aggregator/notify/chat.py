"""E-mail, DingTalk, WeCom, Feishu, Slack and a hundred others, through Apprise: one URL names channel, address and
credentials.

Apprise says only whether a message was taken; what it logs besides goes to the log of the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import apprise

from aggregator.notify import text
from aggregator.notify.port import Delivered, Failed, Letter, Outcome
from core.alarms.machine import Change


class Chat:
    """`url` in the form of Apprise, `language` of the text, `zone` of its times."""

    kind = "apprise"
    batch = 3

    def __init__(self, url: str, language: text.Language, zone: tzinfo) -> None:
        asset = apprise.AppriseAsset(app_id="starvc", app_desc="starvc", app_url="", async_mode=False)
        self._service = apprise.Apprise(asset=asset)
        self._service.add(url)
        self._language: text.Language = language
        self._zone = zone

    def send(self, letters: Sequence[Letter]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        for letter in letters:
            outcomes.append(self._send(letter))
            if isinstance(outcomes[-1], Failed):
                break
        return outcomes

    def close(self) -> None:
        self._service.clear()

    def _send(self, letter: Letter) -> Outcome:
        said = letter.announcement
        over = said.change in {Change.RELIEVED, Change.RETURNED}
        taken = self._service.notify(
            title=text.title(said, self._language),
            body=text.body(said, self._language, self._zone),
            notify_type=apprise.NotifyType.SUCCESS if over else apprise.NotifyType.WARNING,
            body_format=apprise.NotifyFormat.TEXT,
        )
        return Delivered() if taken else Failed("the service did not take the message")


def understood(url: str) -> bool:
    """Whether Apprise knows the service, and the URL has all that the service needs."""
    return bool(apprise.Apprise().add(url))
