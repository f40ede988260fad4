"""Against the real thing: an Alertmanager, and a mail server that speaks SMTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from typer.testing import CliRunner

from aggregator.notify.alertmanager import Alertmanager, alerts_of
from aggregator.notify.chat import Chat
from aggregator.notify.config import parse
from aggregator.notify.port import Delivered, Failed, Letter
from aggregator.notify.sender import Sender
from api.cli_notify import notify_app
from core.alarms.finding import Severity
from core.alarms.machine import Change
from core.clock import VirtualClock
from core.db.engine import Database
from core.zone import zone
from tests.support.alarms import Evaluator
from tests.support.announcements import announcement
from tests.support.real import answers, binary, free_port, server
from tests.support.webhook import Answer, receiver


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    program = binary("prometheus-alertmanager")
    config = tmp_path / "alertmanager.yml"
    config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        program, f"--config.file={config}", f"--storage.path={tmp_path / 'data'}", "--cluster.listen-address=",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]  # fmt: skip
    with server(command, lambda: answers(f"{url}/-/ready"), tmp_path / "alertmanager.log"):
        yield url


def firing(url: str) -> dict[str, str]:
    """Severity of what Alertmanager shows as active, by object."""
    alerts = httpx.get(f"{url}/api/v2/alerts", params={"active": "true"}).json()
    return {alert["labels"]["object_id"]: alert["labels"]["severity"] for alert in alerts}


def test_alertmanager_follows_an_alarm_up_and_down_and_to_its_end(alertmanager: str) -> None:
    am, now = Alertmanager(alertmanager), datetime.now(UTC)
    said = announcement(at=now, created_at=now - timedelta(minutes=1), severity=Severity.LOW)
    other = replace(said, alarm_id="alarm-2", object_id="vm-2")
    story = [
        (replace(said), {"vm-1": "low", "vm-2": "low"}),
        (
            replace(said, severity_before=Severity.LOW, severity=Severity.HIGH, change=Change.ROSE),
            {"vm-1": "high", "vm-2": "low"},
        ),
        (replace(said, severity_before=Severity.HIGH, change=Change.FELL), {"vm-1": "low", "vm-2": "low"}),
        (replace(said, severity_before=Severity.LOW, change=Change.RELIEVED, relieved_at=now), {"vm-2": "low"}),
    ]
    assert am.send([Letter("other", other)]) == [Delivered()]
    for number, (one, expected) in enumerate(story):
        assert am.send([Letter(f"key-{number}", one)]) == [Delivered()]
        assert firing(alertmanager) == expected
    am.close()


def test_alertmanager_gets_labels_it_accepts_and_knows_whose_alarm_it_is(alertmanager: str) -> None:
    am, now = Alertmanager(alertmanager), datetime.now(UTC)
    said = announcement(at=now, created_at=now, labels={"team": "compute", "cost-centre": "7", "9lives": "x"})
    assert am.send([Letter("key", said)]) == [Delivered()]
    (alert,) = httpx.get(f"{alertmanager}/api/v2/alerts").json()
    assert alert["labels"] == {
        "alertname": "vm-cpu", "severity": "high", "category": "cpu", "object_kind": "vm", "object_id": "vm-1",
        "object_name": "web", "tenant": "tenant-1", "host": "host-1", "vm": "vm-1", "team": "compute",
        "cost_centre": "7", "_9lives": "x",
    }  # fmt: skip
    assert alert["annotations"]["summary"] == "CPU at 97 %"
    am.close()


def test_an_alertmanager_that_forgot_is_reminded_of_what_is_open(database: Database, alertmanager: str) -> None:
    evaluator = Evaluator(
        database, routing=parse("f", FILE.format(url=alertmanager)), clock=VirtualClock(datetime.now(UTC))
    )
    am = Alertmanager(alertmanager)
    sending = Sender(database, evaluator.clock, {"am": am}, lambda: 0.0)
    evaluator.clock.advance(-30)
    evaluator.take({"vm-1": "low", "vm-2": "raise"})
    evaluator.take({"vm-2": "clear"})
    sending.remind("am", parse("f", FILE.format(url=alertmanager)))
    assert firing(alertmanager) == {"vm-1": "low"}
    am.close()


FILE = "receivers: [{{name: am, alertmanager: '{url}'}}]\nroutes: [{{receivers: [am]}}]"


def test_an_alert_that_ends_never_ends_before_it_began() -> None:
    said = announcement()
    (alert,) = alerts_of(replace(said, severity_before=said.severity, relieved_at=said.created_at - timedelta(hours=1)))
    assert alert["endsAt"] > alert["startsAt"]


def test_one_bad_letter_does_not_take_the_others_with_it() -> None:
    with receiver(Answer(400), Answer(200), Answer(400)) as fake:
        am = Alertmanager(fake.url)
        outcomes = am.send([Letter("a", announcement()), Letter("b", announcement(alarm_id="alarm-2"))])
        am.close()
    assert [type(outcome).__name__ for outcome in outcomes] == ["Delivered", "Refused"]


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        mail: Any = message_from_bytes(envelope.content, policy=policy.default)
        self.mails.append(mail)
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    box, port = Mailbox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, f"mailto://127.0.0.1:{port}?from=starvc@example.org&to=ops@example.org&mode=insecure"
    controller.stop()


def test_a_mail_arrives_in_the_receivers_language(mailbox: tuple[Mailbox, str]) -> None:
    box, url = mailbox
    mail = Chat(url, "zh", zone("Asia/Shanghai"))
    assert mail.send([Letter("key", announcement())]) == [Delivered()]
    mail.close()
    (got,) = box.mails
    assert got["To"] == "ops@example.org"
    assert got["Subject"] == "[高] web: 告警产生"
    part = got.get_body(("plain",))
    assert part is not None
    text = part.get_content()
    assert "CPU 使用率 97%" in text
    assert "产生时间: 2026-01-01 20:30:00 +0800" in text


def test_a_mail_server_that_is_gone_is_a_failure() -> None:
    mail = Chat(
        f"mailto://127.0.0.1:{free_port()}?from=a@example.org&to=b@example.org&mode=insecure", "en", zone("UTC")
    )
    (outcome,) = mail.send([Letter("key", announcement())])
    assert isinstance(outcome, Failed)


def test_the_whole_way_from_findings_to_a_mail(database: Database, mailbox: tuple[Mailbox, str]) -> None:
    box, url = mailbox
    routes = parse("f", f"receivers: [{{name: ops, apprise: '{url}', language: en}}]\nroutes: [{{receivers: [ops]}}]")
    evaluator = Evaluator(database, routing=routes)
    channel = Chat(url, "en", zone("UTC"))
    sending = Sender(database, evaluator.clock, {"ops": channel}, lambda: 0.0)
    evaluator.take({"vm-1": "raise"})
    assert sending.step("ops") == 1
    channel.close()
    assert [mail["Subject"] for mail in box.mails] == ["[high] name of vm-1: raised"]


def test_people_can_try_their_receivers(tmp_path: Path) -> None:
    file = tmp_path / "notify.yaml"
    with receiver() as good, receiver(Answer(401)) as bad:
        file.write_text(f"receivers: [{{name: good, webhook: '{good.url}'}}, {{name: bad, webhook: '{bad.url}'}}]\n")
        one = CliRunner().invoke(notify_app, ["test", "good", "--file", str(file)])
        every = CliRunner().invoke(notify_app, ["test", "--file", str(file)])
    assert (one.exit_code, one.output) == (0, "good: delivered\n")
    assert every.exit_code == 1
    assert "bad: HTTP 401" in every.output
    assert [body["change"] for _, _, body in good.requests] == ["raised", "relieved"] * 2


def test_people_are_told_what_is_wrong_with_their_file(tmp_path: Path) -> None:
    file = tmp_path / "notify.yaml"
    file.write_text("receivers: [{name: a}]\n")
    assert CliRunner().invoke(notify_app, ["check", "--file", str(file)]).exit_code == 1
    file.write_text("receivers: [{name: a, webhook: 'http://h'}]\nroutes: [{receivers: [a]}]\n")
    assert "1 receivers, 1 routes: fine" in CliRunner().invoke(notify_app, ["check", "--file", str(file)]).output
    unknown = CliRunner().invoke(notify_app, ["test", "b", "--file", str(file)])
    assert unknown.exit_code == 1
