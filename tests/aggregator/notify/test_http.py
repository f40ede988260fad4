"""Posting to servers that answer well, badly, elsewhere, late or never."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime

import pytest

from aggregator.notify import http
from aggregator.notify.port import Delivered, Failed, Letter, Outcome, Refused
from aggregator.notify.text import body, title
from aggregator.notify.webhook import Webhook
from core.alarms.announcement import Announcement
from core.alarms.machine import Change
from core.zone import zone
from tests.support.announcements import MOMENT, announcement
from tests.support.real import free_port
from tests.support.webhook import Answer, receiver


def _post(url: str, timeout: float = 5.0) -> Outcome:
    hook = Webhook(url, timeout=timeout)
    try:
        (outcome,) = hook.send([Letter("key-1", announcement())])
    finally:
        hook.close()
    return outcome


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, Delivered), (204, Delivered), (400, Refused), (422, Refused), (401, Failed), (404, Failed), (409, Failed),
     (429, Failed), (500, Failed), (503, Failed)],
)  # fmt: skip
def test_a_status_says_whose_fault_it_is(status: int, kind: type[Outcome]) -> None:
    with receiver(Answer(status)) as server:
        assert isinstance(_post(server.url), kind)


def test_a_webhook_gets_the_whole_announcement_and_its_key() -> None:
    with receiver() as server:
        assert _post(server.url + "/alarms?x=1") == Delivered()
    ((path, key, content),) = server.requests
    assert (path, key) == ("/alarms?x=1", "key-1")
    assert Announcement.from_payload(content) == announcement()


def test_a_redirect_is_not_followed() -> None:
    with receiver() as elsewhere, receiver(Answer(307, {"Location": elsewhere.url})) as server:
        outcome = _post(server.url)
    assert isinstance(outcome, Failed)
    assert "HTTP 307" in outcome.reason
    assert elsewhere.requests == []


def test_a_server_that_never_answers_costs_the_time_limit() -> None:
    with receiver(None) as server:
        outcome = _post(server.url, timeout=0.2)
    assert isinstance(outcome, Failed)
    assert "no answer in time" in outcome.reason


def test_a_closed_port_is_a_failure() -> None:
    assert isinstance(_post(f"http://127.0.0.1:{free_port()}"), Failed)


@pytest.mark.parametrize("address", ["169.254.169.254", "[fe80::1]", "0.0.0.0", "224.0.0.1"])
def test_addresses_where_no_receiver_can_be_are_refused(address: str) -> None:
    outcome = _post(f"http://{address}:80/latest/meta-data")
    assert isinstance(outcome, Failed)
    assert "where no receiver can be" in outcome.reason


def test_a_receiver_may_ask_for_a_pause() -> None:
    with receiver(Answer(429, {"Retry-After": "17"})) as server:
        outcome = _post(server.url)
    assert isinstance(outcome, Failed)
    assert outcome.retry_after == 17.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        (format_datetime(MOMENT + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(MOMENT - timedelta(seconds=90), usegmt=True), 0.0),
        ("soon", None),
        ("-5", None),
        ("9" * 500, 999_999_999.0),
    ],
)
def test_retry_after_comes_in_two_forms(header: str | None, seconds: float | None) -> None:
    assert http.retry_after(header, MOMENT) == seconds


def test_words_for_people_in_both_languages() -> None:
    said = announcement(change=Change.RELIEVED, relieved_at=MOMENT + timedelta(minutes=5), relieve_way="auto")
    assert title(said, "zh") == "[高] web: 告警解除"
    assert title(said, "en") == "[high] web: relieved"
    lines = body(said, "en", zone("Asia/Shanghai")).splitlines()
    assert lines[0] == "CPU at 97 %"
    assert "Raised: 2026-01-01 20:30:00 +0800" in lines
    assert "Relieved: 2026-01-01 20:35:00 +0800" in lines
    assert lines[-1] == "Alarm: alarm-1 #1"
