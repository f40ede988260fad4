"""The file of receivers and routes: what it means, and what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from aggregator.notify.alertmanager import Alertmanager
from aggregator.notify.chat import Chat
from aggregator.notify.config import load, notifier, parse
from aggregator.notify.webhook import Webhook
from aggregator.rules.source import RulesInvalid
from core.alarms.finding import Severity
from core.alarms.machine import Change
from core.timeseries.fields import Kind
from core.zone import zone
from tests.support.announcements import announcement

FILE = """
receivers:
  - name: mail
    apprise: mailto://user:password@example.org
    language: en
  - name: hook
    webhook: https://example.org/alarms
    headers: {Authorization: Bearer secret}
  - name: am
    alertmanager: http://127.0.0.1:9093
routes:
  - receivers: [mail]
    level: [high]
    labels: {team: compute}
  - receivers: [hook, mail]
    tenant: [tenant-1]
    kind: [vm, disk]
    on: [raised, relieved]
  - receivers: [am]
"""


def test_every_matching_route_adds_its_receivers_once() -> None:
    found = parse("notify.yaml", FILE)
    assert found(announcement()) == ("mail", "hook", "am")
    assert found(announcement(tenant_id="other")) == ("mail", "am")
    assert found(announcement(severity=Severity.LOW, tenant_id=None)) == ("am",)
    assert found(announcement(labels={}, object_kind=Kind.HOST)) == ("am",)


def test_who_was_told_of_a_level_hears_when_the_alarm_leaves_it() -> None:
    found = parse("notify.yaml", FILE.replace("on: [raised, relieved]", "rule: [none]"))
    left = announcement(change=Change.RELIEVED, severity=Severity.LOW, severity_before=Severity.HIGH)
    assert found(left) == ("mail", "am")


def test_only_an_alertmanager_is_told_of_falls_unless_a_route_asks_for_them() -> None:
    fallen = announcement(change=Change.FELL, severity_before=Severity.HIGH, severity=Severity.HIGH)
    assert parse("notify.yaml", FILE)(fallen) == ("am",)
    assert parse("notify.yaml", FILE.replace("on: [raised", "on: [fell, raised"))(fallen) == ("hook", "mail", "am")


def test_a_route_by_object_covers_the_disks_of_a_vm_and_the_vms_of_a_host() -> None:
    text = "receivers: [{name: a, webhook: 'http://h'}]\nroutes: [{receivers: [a], object: [OBJECT]}]"
    disk = announcement(object_id="vm-1/vda", vm_id="vm-1", host_id="host-1")
    assert [bool(parse("f", text.replace("OBJECT", name))(disk)) for name in ("vm-1", "host-1", "vm-2")] == [
        True,
        True,
        False,
    ]


def test_each_receiver_has_its_channel() -> None:
    kinds = []
    for receiver in parse("notify.yaml", FILE).receivers.values():
        channel = notifier(receiver, zone("UTC"))
        kinds.append(type(channel))
        channel.close()
    assert kinds == [Chat, Webhook, Alertmanager]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("receivers: [{name: a}]", "f:1: receivers.0: has no channel; allowed: one of apprise, webhook, alertmanager"),
        ("receivers: [{name: a, webhook: 'http://h', apprise: 'json://h'}]", "has several channels"),
        ("receivers: [{name: a, webhook: 'ftp://h'}]", "no scheme or no host"),
        ("receivers: [{name: a, webhook: 'http:///x'}]", "no scheme or no host"),
        ("receivers: [{name: a, apprise: 'nonsense://h'}]", "Apprise does not understand its URL"),
        ("receivers: [{name: a, alertmanager: 'http://h', headers: {a: b}}]", "headers are for webhooks"),
        ("receivers: [{name: a, webhook: 'http://h', colour: red}]", "colour: unknown key"),
        ("receivers: [{name: a, webhook: 'http://h'}, {name: a, webhook: 'http://h'}]", "a is named twice"),
        ("routes: [{receivers: [b]}]", "f:1: routes.0.receivers: b is not declared; allowed: no receiver is declared"),
        (
            "receivers: [{name: a, webhook: 'http://h'}]\nroutes: [{receivers: [a], level: [urgent]}]",
            "'urgent' is unknown",
        ),
        ("receivers: {", "not YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_place_problem_and_what_is_allowed(text: str, complaint: str) -> None:
    with pytest.raises(RulesInvalid) as refusal:
        parse("f", text)
    assert complaint in str(refusal.value)


def test_secrets_are_not_repeated_in_complaints() -> None:
    with pytest.raises(RulesInvalid) as refusal:
        parse("f", "receivers: [{name: a, apprise: 'nonsense://user:hunter2@h'}]")
    assert "hunter2" not in str(refusal.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RulesInvalid, match=r"absent\.yaml"):
        load(tmp_path / "absent.yaml")
