"""The sender: in order, at least once, never for ever, and nobody waits for somebody else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from aggregator.notify.outbox import LEASE, MOST_ATTEMPTS
from aggregator.notify.port import Delivered, Failed, Letter, Notifier, Outcome, Refused
from aggregator.notify.sender import KEPT, Sender
from aggregator.notify.webhook import Webhook
from core.alarms.announcement import Announcement
from core.alarms.finding import FlapPolicy
from core.alarms.rows import Outbox
from core.db.engine import Database
from core.metrics import REGISTRY
from tests.support.alarms import Crash, Evaluator, crash_at, facts
from tests.support.webhook import Answer, Receiver, receiver


@dataclass
class Scripted:
    """A channel that answers by its script, then takes everything."""

    script: list[Outcome] = field(default_factory=list)
    batch: int = 10
    kind: str = "scripted"
    seen: list[str] = field(default_factory=list)
    before: Callable[[], object] = lambda: None

    def send(self, letters: Sequence[Letter]) -> Sequence[Outcome]:
        self.before()
        outcomes: list[Outcome] = []
        for letter in letters:
            self.seen.append(f"{letter.announcement.object_id} {letter.announcement.change}")
            outcomes.append(self.script.pop(0) if self.script else Delivered())
            if isinstance(outcomes[-1], Failed):
                break
        return outcomes

    def close(self) -> None:
        pass


@pytest.fixture
def evaluator(database: Database) -> Evaluator:
    return Evaluator(database)


def sender(evaluator: Evaluator, **channels: Notifier) -> Sender:
    return Sender(evaluator.database, evaluator.clock, channels, lambda: 0.0)


def letters(evaluator: Evaluator) -> list[Outbox]:
    with evaluator.database.platform() as session:
        return list(session.scalars(select(Outbox).order_by(Outbox.id)))


def test_what_waits_is_delivered_once(evaluator: Evaluator) -> None:
    desk = Scripted()
    sending = sender(evaluator, desk=desk)
    evaluator.take({"vm-1": "low", "vm-2": "raise"})
    assert sending.step("desk") == 2
    assert sending.step("desk") == 0
    assert desk.seen == ["vm-1 raised", "vm-2 raised"]
    assert all(letter.delivered_at == evaluator.clock.now() and letter.attempts == 1 for letter in letters(evaluator))


def test_letters_of_one_alarm_never_overtake_each_other(evaluator: Evaluator) -> None:
    desk = Scripted([Failed("busy"), Delivered(), Failed("busy")], batch=1)
    sending = sender(evaluator, desk=desk)
    evaluator.take({"vm-1": "low"})
    evaluator.take({"vm-1": "raise", "vm-2": "low"})
    evaluator.take({"vm-1": "clear"})
    for _ in range(20):
        sending.step("desk")
        evaluator.clock.advance(1)
    assert [one for one in dict.fromkeys(desk.seen) if one.startswith("vm-1")] == [
        "vm-1 raised",
        "vm-1 rose",
        "vm-1 relieved",
    ]
    assert all(letter.delivered_at for letter in letters(evaluator))


def test_the_rest_of_a_batch_that_fails_has_not_been_tried(evaluator: Evaluator) -> None:
    sending = sender(evaluator, desk=Scripted([Delivered(), Failed("busy")]))
    evaluator.facts = facts("vm-1", "vm-2", "vm-3")
    evaluator.take({"vm-1": "low", "vm-2": "low", "vm-3": "low"})
    assert sending.step("desk") == 1
    assert [(letter.attempts, letter.lease_owner) for letter in letters(evaluator)] == [(1, None), (1, None), (0, None)]


def test_a_letter_is_given_up_after_many_attempts_and_the_next_one_goes(evaluator: Evaluator) -> None:
    desk = Scripted([Failed("no")] * MOST_ATTEMPTS)
    sending = sender(evaluator, desk=desk)
    evaluator.take({"vm-1": "low"})
    evaluator.take({"vm-1": "clear"})
    for _ in range(MOST_ATTEMPTS + 1):
        sending.step("desk")
        evaluator.clock.advance(1000)
    raised, relieved = letters(evaluator)
    assert raised.dead_at
    assert (raised.attempts, raised.last_error) == (MOST_ATTEMPTS, "no")
    assert relieved.delivered_at


def test_a_letter_that_is_refused_is_given_up_at_once(evaluator: Evaluator) -> None:
    sending = sender(evaluator, desk=Scripted([Refused("HTTP 422"), Delivered()]))
    evaluator.take({"vm-1": "low", "vm-2": "low"})
    assert sending.step("desk") == 1
    assert [letter.last_error for letter in letters(evaluator) if letter.dead_at] == ["HTTP 422"]


def test_pauses_grow_and_a_receivers_wish_is_honoured(evaluator: Evaluator) -> None:
    sending = sender(evaluator, desk=Scripted([Failed("a"), Failed("b", retry_after=300.0)]))
    evaluator.take({"vm-1": "low"})
    sending.step("desk")
    assert letters(evaluator)[0].next_try_at == evaluator.clock.now() + timedelta(seconds=1)
    evaluator.clock.advance(1)
    sending.step("desk")
    assert letters(evaluator)[0].next_try_at == evaluator.clock.now() + timedelta(seconds=300)


def test_an_open_circuit_spares_the_receiver_and_the_letters(evaluator: Evaluator) -> None:
    desk = Scripted([Failed("down")] * 3)
    sending = sender(evaluator, desk=desk)
    evaluator.facts = facts(*(f"vm-{n}" for n in range(9)))
    evaluator.take({f"vm-{n}": "low" for n in range(9)})
    for _ in range(3):
        sending.step("desk")
    assert len(desk.seen) == 3
    assert sending.step("desk") == 0
    assert REGISTRY.get_sample_value("starvc_notification_circuit_open", {"receiver": "desk"}) == 1
    evaluator.clock.advance(10)
    assert sending.step("desk") == 9
    assert REGISTRY.get_sample_value("starvc_notification_circuit_open", {"receiver": "desk"}) == 0


def test_a_sender_that_dies_anywhere_loses_nothing_and_repeats_only_the_same_key(evaluator: Evaluator) -> None:
    evaluator = evaluator.with_policy(flap=FlapPolicy(hi=1e9))
    with receiver() as server:
        hook = Webhook(server.url)
        crashes = 0
        for statement in range(12):
            evaluator.take({"vm-1": "low", "vm-2": "low"})
            evaluator.take({"vm-1": "clear", "vm-2": "clear"})
            crashes += _dies(evaluator, hook, statement)
            evaluator.clock.advance(LEASE.total_seconds() + 1)
            sender(evaluator, desk=hook).step("desk")
        hook.close()
    assert crashes > 8
    assert len(server.keys) > len(set(server.keys))
    assert sorted(set(server.keys)) == sorted(letter.key for letter in letters(evaluator) if letter.delivered_at)
    assert all(letter.delivered_at for letter in letters(evaluator))


def _dies(evaluator: Evaluator, hook: Webhook, statement: int) -> bool:
    with crash_at(evaluator.database, statement):
        try:
            sender(evaluator, desk=hook).step("desk")
        except Crash:
            return True
    return False


def test_a_letter_that_breaks_its_sender_each_time_is_given_up_too(evaluator: Evaluator) -> None:
    def explode() -> None:
        raise Crash

    sending = sender(evaluator, desk=Scripted(before=explode))
    evaluator.take({"vm-1": "low"})
    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(Crash):
            sending.step("desk")
        evaluator.clock.advance(LEASE.total_seconds() + 1)
    sending.step("desk")
    assert letters(evaluator)[0].dead_at


def test_a_slow_sender_that_lost_its_lease_does_not_touch_the_letter(evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "low"})
    other = sender(evaluator, desk=Scripted())

    def stall() -> None:
        evaluator.clock.advance(LEASE.total_seconds() + 1)
        assert other.step("desk") == 1

    slow = sender(evaluator, desk=Scripted([Failed("too late to say")], before=stall))
    slow.step("desk")
    (letter,) = letters(evaluator)
    assert letter.delivered_at
    assert letter.last_error == ""


def test_senders_side_by_side_deliver_each_letter_once(evaluator: Evaluator) -> None:
    names = [f"vm-{n}" for n in range(40)]
    evaluator.facts = facts(*names)
    evaluator.take(dict.fromkeys(names, "low"))
    desks = [Scripted(batch=3) for _ in range(3)]
    threads = [threading.Thread(target=sender(evaluator, desk=desk).step, args=("desk",)) for desk in desks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while sender(evaluator, desk=desks[0]).step("desk"):
        pass
    assert sorted(one for desk in desks for one in desk.seen) == sorted(f"{name} raised" for name in names)


def test_a_receiver_that_hangs_delays_nobody_else(evaluator: Evaluator) -> None:
    both = Evaluator(evaluator.database, routing=lambda _: ("stuck", "desk"))
    both.take({"vm-1": "low"})
    entered, release = threading.Event(), threading.Event()

    def hang() -> None:
        entered.set()
        assert release.wait(10)

    sending = sender(both, stuck=Scripted(before=hang), desk=Scripted())
    thread = threading.Thread(target=sending.step, args=("stuck",))
    thread.start()
    assert entered.wait(10)
    assert sending.step("desk") == 1
    assert sending.step("stuck") == 0
    release.set()
    thread.join()
    assert all(letter.delivered_at for letter in letters(both))


def test_letters_to_receivers_that_are_gone_are_given_up_and_old_ones_forgotten(evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "low"})
    sending = sender(evaluator, other=Scripted())
    sending.keep_house()
    assert letters(evaluator)[0].last_error == "the receiver is no longer configured"
    evaluator.clock.advance(KEPT.total_seconds() + 1)
    sending.keep_house()
    assert letters(evaluator) == []


def test_the_outbox_can_be_seen_from_outside(evaluator: Evaluator) -> None:
    sending = sender(evaluator, desk=Scripted())
    evaluator.take({"vm-1": "low", "vm-2": "raise"})
    evaluator.clock.advance(30)
    sending.publish()
    value = REGISTRY.get_sample_value
    assert value("starvc_notification_outbox_depth", {"receiver": "desk"}) == 2
    assert value("starvc_notification_outbox_oldest_age_seconds", {"receiver": "desk"}) == 30
    assert value("starvc_alarms", {"severity": "high", "state": "raised"}) == 1
    sending.step("desk")
    sending.publish()
    assert value("starvc_notification_outbox_depth", {"receiver": "desk"}) == 0
    assert value("starvc_notification_outbox_oldest_age_seconds", {"receiver": "desk"}) == 0


BAD_DAY = (
    Answer(500),
    None,
    Answer(200),
    Answer(503, {"Retry-After": "2"}),
    None,
    Answer(404),
    Answer(200),
    Answer(429),
)


def test_a_receiver_that_fails_and_hangs_ends_up_knowing_exactly_what_is_true(database: Database) -> None:
    """Hanging means that the receiver got the letter and never said so: it gets it again, under the same key."""
    evaluator = Evaluator(database)
    with receiver(*BAD_DAY) as server:
        hook = Webhook(server.url, timeout=0.1)
        sending = sender(evaluator, desk=hook)
        for findings in ({"vm-1": "low"}, {"vm-1": "raise", "vm-2": "low"}, {"vm-1": "clear", "vm-2": "low"}):
            evaluator.take(findings)
            sending.step("desk")
        _until_delivered(evaluator, sending)
        hook.close()
    assert len(server.keys) > len(set(server.keys))
    assert sorted(server.once()) == ["vm-1 raised low", "vm-1 relieved high", "vm-1 rose high", "vm-2 raised low"]
    assert _in_order(server)


def _until_delivered(evaluator: Evaluator, sending: Sender) -> None:
    for _ in range(100):
        sending.step("desk")
        evaluator.clock.advance(1)
        if all(letter.delivered_at for letter in letters(evaluator)):
            return
    pytest.fail("letters are left")


def _in_order(server: Receiver) -> bool:
    numbers = [Announcement.from_payload(body).number for _, _, body in server.requests if body["object_id"] == "vm-1"]
    return numbers == sorted(numbers)


def test_a_letter_that_another_sender_holds_is_waited_for(evaluator: Evaluator) -> None:
    evaluator.take({"vm-1": "low"})
    with evaluator.database.platform(write=True) as session:
        session.execute(update(Outbox).values(lease_owner="other", lease_until=evaluator.clock.now() + LEASE))
    assert sender(evaluator, desk=Scripted()).step("desk") == 0
    evaluator.clock.advance(LEASE.total_seconds())
    assert sender(evaluator, desk=Scripted()).step("desk") == 1
