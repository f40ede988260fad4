"""An evaluator for tests: findings in words, one evaluation an interval, on a clock that stands still in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from core.alarms.announcement import Announcement, Routing
from core.alarms.engine import Happened, settle
from core.alarms.finding import AlarmPolicy, Evaluation, Finding, ObjectFacts, Rung, Severity, Verdict
from core.alarms.rows import Alarm, AlarmRule, AlarmState, AlarmTransition, Outbox
from core.clock import VirtualClock
from core.db.engine import Database
from core.timeseries.fields import Kind

WORDS = {
    "raise": Verdict.RAISE,
    "hold": Verdict.HOLD,
    "clear": Verdict.CLEAR,
    "none": Verdict.NO_DATA,
    "failed": Verdict.FAILED,
}
CPU = AlarmPolicy("vm-cpu", Kind.VM, "cpu", (Rung(Severity.LOW), Rung(Severity.HIGH)), labels={"team": "compute"})


def facts(*names: str, tenant: str | None = "tenant-1", host: str | None = "host-1") -> dict[str, ObjectFacts]:
    return {name: ObjectFacts(f"name of {name}", tenant, host, name) for name in names}


def everybody(_: Announcement) -> Sequence[str]:
    return ("desk",)


@dataclass
class Evaluator:
    """`take({"vm-1": "raise"})`: one evaluation of `policy`, an interval after the last. `low`: the lowest rung
    alone.
    """

    database: Database
    policy: AlarmPolicy = CPU
    facts: Mapping[str, ObjectFacts] = field(default_factory=lambda: facts("vm-1", "vm-2"))
    routing: Routing = everybody
    clock: VirtualClock = field(default_factory=VirtualClock)

    def take(self, findings: Mapping[str, str], *, fence: int = 0) -> list[str]:
        """What happened, as `object change`."""
        self.clock.advance(self.policy.interval)
        with self.database.platform(write=True) as session:
            return [f"{one.object_id} {one.transition.change}" for one in self.settle(session, findings, fence=fence)]

    def settle(self, session: Session, findings: Mapping[str, str], *, fence: int = 0) -> tuple[Happened, ...]:
        evaluation = Evaluation(self.policy, [self._finding(*one) for one in findings.items()], self.facts)
        return settle(session, [evaluation], self.clock.now(), routing=self.routing, fence=fence)

    def with_policy(self, **changes: Any) -> Evaluator:
        return replace(self, policy=replace(self.policy, **changes))

    def _finding(self, name: str, word: str) -> Finding:
        size = len(self.policy.rungs)
        verdicts = (Verdict.RAISE, *[Verdict.CLEAR] * (size - 1)) if word == "low" else (WORDS[word],) * size
        return Finding(name, verdicts, 97.5, f"{word} because", {"zh": f"{name}告警", "en": f"{name} alarms"})

    def alarms(self) -> list[Alarm]:
        with self.database.platform() as session:
            return list(session.scalars(select(Alarm).order_by(Alarm.created_at, Alarm.object_id)))

    def told(self) -> list[str]:
        """What stands in the outbox, as `receiver object change severity`."""
        with self.database.platform() as session:
            letters = session.scalars(select(Outbox).order_by(Outbox.id)).all()
        return [
            f"{letter.receiver} {said.object_id} {said.change} {said.severity.name.lower()}"
            for letter in letters
            for said in [Announcement.from_payload(letter.payload)]
        ]


def dump(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All rows about alarms, with alarm ids replaced by their order, so that two runs can be compared."""
    tables = (Alarm, AlarmState, AlarmRule, AlarmTransition, Outbox)
    with database.platform() as session:
        ids = {
            id_: f"#{n}"
            for n, id_ in enumerate(session.scalars(select(Alarm.id).order_by(Alarm.created_at, Alarm.object_id)))
        }
        return {
            kind.__tablename__: sorted(
                (tuple(_named(value, ids) for value in row) for row in session.execute(select(*_columns(kind)))),
                key=repr,
            )
            for kind in tables
        }


def _columns(kind: Any) -> list[Any]:
    return [column for column in kind.__table__.c if not (column.name == "id" and kind in (AlarmTransition, Outbox))]


def _named(value: Any, ids: Mapping[str, str]) -> Any:
    if isinstance(value, str) and value.split("/")[0] in ids:
        return "/".join((ids[value.split("/")[0]], *value.split("/")[1:]))
    return {name: _named(part, ids) for name, part in value.items()} if isinstance(value, dict) else value


class Crash(Exception):
    """The power went out."""


@contextmanager
def crash_at(database: Database, statement: int) -> Iterator[list[str]]:
    """The `statement`-th statement from now on (the first is 0), or the commit in its place, raises Crash. Yields
    what was run.
    """
    seen: list[str] = []

    def before(*arguments: Any) -> None:
        if not arguments[2].startswith(("PRAGMA", "BEGIN")):
            _count(arguments[2])

    def commit(_: object) -> None:
        _count("COMMIT")

    def _count(what: str) -> None:
        seen.append(what)
        if len(seen) - 1 == statement:
            raise Crash(what)

    engine = database._engine
    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "commit", commit)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", before)
        event.remove(engine, "commit", commit)
