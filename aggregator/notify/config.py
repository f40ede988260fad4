"""The YAML file of receivers and routes, read and checked; everything wrong with it is reported at once.

::

    receivers:
      - name: on-call
        apprise: dingtalk://TOKEN          # any URL of Apprise; `language: en` for English
      - name: tickets
        webhook: https://tickets.example/alarms
        headers: {Authorization: Bearer SECRET}
      - name: am
        alertmanager: http://alertmanager:9093
    routes:
      - receivers: [on-call]
        level: [high]
        labels: {team: compute}
      - receivers: [tickets, am]

An announcement goes to the receivers of every route that it matches. A route without filters takes everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from aggregator.notify.alertmanager import Alertmanager
from aggregator.notify.port import Notifier
from aggregator.notify.text import Language
from aggregator.notify.webhook import Webhook
from aggregator.rules.schema import Identifier, SeverityWord, refuse
from aggregator.rules.shape import shaped
from aggregator.rules.source import Problem, RulesInvalid, Source
from core.alarms.announcement import Announcement
from core.alarms.machine import Change
from core.timeseries.fields import Kind

USUAL: Final = frozenset(Change) - {Change.FELL, Change.STEADY}
"""What a receiver is told unless its route says otherwise. An Alertmanager needs the falls too: see
`Receiver.changes`.
"""

Text = Annotated[str, StringConstraints(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Receiver(_Strict):
    """Exactly one of `apprise`, `webhook` and `alertmanager`."""

    name: Identifier
    apprise: Text | None = Field(None, description="URL of Apprise: e-mail, DingTalk, WeCom, Feishu, Slack, ...")
    webhook: Text | None = Field(None, description="URL that gets a POST of JSON for each change")
    alertmanager: Text | None = Field(None, description="URL of an Alertmanager, without the path")
    headers: Mapping[str, str] = Field(default_factory=dict, description="sent along with each request of a webhook")
    language: Language = Field("zh", description="language of texts for people")

    @model_validator(mode="after")
    def _one_channel(self) -> Self:
        channels = [url for url in (self.apprise, self.webhook, self.alertmanager) if url is not None]
        if len(channels) != 1:
            raise refuse(
                "has no channel" if not channels else "has several channels", "one of apprise, webhook, alertmanager"
            )
        for url in (self.webhook, self.alertmanager):
            if url is not None and (urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname):
                raise refuse("its URL has no scheme or no host", "http://HOST[:PORT][/PATH] or https://...")
        if self.apprise is not None and not _understood(self.apprise):
            raise refuse("Apprise does not understand its URL", "a URL as in the list of Apprise's services")
        if self.headers and self.webhook is None:
            raise refuse("headers are for webhooks", "headers beside webhook only")
        return self

    @property
    def changes(self) -> frozenset[Change]:
        """What it is told by default. Alertmanager tells alerts apart by severity: it must hear when one falls."""
        return USUAL if self.alertmanager is None else USUAL | {Change.FELL}


class Route(_Strict):
    """All given filters must match, one value of each; `labels`: all of them, of the rule."""

    receivers: Annotated[tuple[Identifier, ...], Field(min_length=1)]
    level: frozenset[SeverityWord] | None = None
    tenant: frozenset[Text] | None = None
    kind: frozenset[Kind] | None = None
    object: frozenset[Text] | None = None
    rule: frozenset[Text] | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    on: frozenset[Change] | None = Field(None, description="changes to tell; default: all but `fell` and `steady`")

    def matches(self, said: Announcement) -> bool:
        """Apart from `on`, which depends on the receiver. An alarm that leaves the levels is told to whom it was
        told before.
        """
        levels = {severity.name.lower() for severity in (said.severity, said.severity_before) if severity is not None}
        return (
            (self.level is None or bool(self.level & levels))
            and (self.tenant is None or said.tenant_id in self.tenant)
            and (self.kind is None or said.object_kind in self.kind)
            and (self.object is None or bool(self.object & {said.object_id, said.vm_id, said.host_id}))
            and (self.rule is None or said.rule_id in self.rule)
            and all(said.labels.get(name) == value for name, value in self.labels.items())
        )


class NotifyFile(_Strict):
    """A file of receivers and routes."""

    receivers: tuple[Receiver, ...] = ()
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True, slots=True)
class Notifications:
    """Who is told of what. A `Routing` for the engine (call it), and the receivers for the sender."""

    receivers: Mapping[str, Receiver]
    routes: Sequence[Route]

    def __call__(self, said: Announcement) -> Sequence[str]:
        """The receivers of an announcement, each once, in the order of the routes."""
        wanted = (
            name
            for route in self.routes
            if route.matches(said)
            for name in route.receivers
            if said.change in (route.on if route.on is not None else self.receivers[name].changes)
        )
        return tuple(dict.fromkeys(wanted))


def load(file: Path) -> Notifications:
    """Raises RulesInvalid with everything that is wrong with the file."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RulesInvalid(
            [Problem(str(file), 1, "", "", f"cannot be read: {error}", "a readable UTF-8 file")]
        ) from error
    return parse(file.name, text)


def parse(file: str, text: str) -> Notifications:
    """Raises RulesInvalid with everything that is wrong with the text."""
    source = Source(file, text)
    parsed = shaped(source, NotifyFile)
    receivers: dict[str, Receiver] = {}
    problems: list[Problem] = []
    for position, receiver in enumerate(parsed.receivers):
        if receiver.name in receivers:
            problems.append(
                source.problem(("receivers", position, "name"), f"{receiver.name} is named twice", "unique names")
            )
        receivers[receiver.name] = receiver
    for position, route in enumerate(parsed.routes):
        for name in route.receivers:
            if name not in receivers:
                allowed = ", ".join(receivers) or "no receiver is declared"
                problems.append(source.problem(("routes", position, "receivers"), f"{name} is not declared", allowed))
    if problems:
        raise RulesInvalid(problems)
    return Notifications(receivers, parsed.routes)


def notifier(receiver: Receiver, zone: tzinfo) -> Notifier:
    """The channel of a receiver."""
    if receiver.webhook is not None:
        return Webhook(receiver.webhook, receiver.headers)
    if receiver.alertmanager is not None:
        return Alertmanager(receiver.alertmanager)
    assert receiver.apprise is not None
    from aggregator.notify.chat import Chat

    return Chat(receiver.apprise, receiver.language, zone)


def _understood(url: str) -> bool:
    """Apprise is loaded only where a receiver needs it: it takes 0.1 s."""
    from aggregator.notify.chat import understood

    return understood(url)
