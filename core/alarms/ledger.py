"""The machine's memory of some rules within one transaction: read in bulk, written in bulk, and only what has
changed.

The race: two evaluators of the same rule, and people who act at the same moment. Rule rows are locked first, then
states; people's acts (`core.alarms.alarms`) lock the state too. On SQLite the whole transaction is the lock. A
holder of a lease that has been passed on is refused by the fencing token.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from core.alarms import memory
from core.alarms.finding import AlarmPolicy, Finding, ObjectFacts, Severity
from core.alarms.machine import BLANK, Phase, State, Transition
from core.alarms.memory import Stored, Visible
from core.alarms.metrics import TRANSITIONS
from core.alarms.rows import Alarm, AlarmRule, AlarmState, AlarmTransition, ReliefWay
from core.ids import new_id


class Fenced(Exception):
    """Somebody else holds the rule's lease by now. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Happened:
    """A transition, and whose it is."""

    alarm_id: str
    rule_id: str
    object_id: str
    transition: Transition


@dataclass(slots=True)
class Entry:
    """One rule on one object: as it was read (`kept`), and as it is now."""

    rule_id: str
    object_id: str
    tenant_id: str | None
    state: State = BLANK
    kept: Stored | None = None
    kept_alarm_id: str | None = None
    alarm_id: str = ""
    max_severity: Severity = Severity.LOW
    transitions: int = 0


@dataclass(slots=True)
class _Rule:
    evidence_until: float | None = None
    fence: int = 0
    exists: bool = False


@dataclass(slots=True)
class _Writes:
    raised: list[dict[str, Any]] = field(default_factory=list)
    changed: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)


class Ledger:
    """What is remembered of `rule_ids`. Raises Fenced when a later token than `fence` has written for one of them."""

    def __init__(self, session: Session, rule_ids: Collection[str], fence: int) -> None:
        self._session = session
        self._fence = fence
        self._rules = {rule_id: _Rule() for rule_id in rule_ids}
        self._entries: dict[str, dict[str, Entry]] = {rule_id: {} for rule_id in rule_ids}
        self._writes = _Writes()
        self._happened: list[Happened] = []
        self._read_rules()
        self._read_states()

    def of(self, rule_id: str) -> Mapping[str, Entry]:
        """The objects that the rule has a state for."""
        return self._entries[rule_id]

    def fresh(self, rule_id: str, object_id: str, facts: ObjectFacts) -> Entry:
        """An entry for an object without a state; forgotten again if it gets none."""
        return self._entries[rule_id].setdefault(object_id, Entry(rule_id, object_id, facts.tenant_id))

    def raised(
        self,
        entry: Entry,
        after: State,
        transitions: Sequence[Transition],
        policy: AlarmPolicy,
        finding: Finding,
        facts: ObjectFacts,
    ) -> None:
        """A new episode."""
        assert after.severity is not None
        entry.state, entry.alarm_id, entry.transitions = after, new_id("alarm"), 0
        entry.max_severity = after.severity
        self._record(entry, transitions, finding)
        self._writes.raised.append(
            {
                "id": entry.alarm_id, "rule_id": entry.rule_id, "category": policy.category,
                "labels": dict(policy.labels),
                "object_kind": policy.kind, "object_id": entry.object_id, "object_name": facts.name,
                "tenant_id": facts.tenant_id, "host_id": facts.host_id, "vm_id": facts.vm_id,
                "severity": after.severity,
                "max_severity": after.severity, "flapping": after.flap.on, "content_zh": finding.content.get("zh", ""),
                "content_en": finding.content.get("en", ""), "created_at": memory.instant(transitions[0].at),
                "outstanding": True, "transitions": entry.transitions,
            }
        )  # fmt: skip

    def changed(
        self, entry: Entry, after: State, transitions: Sequence[Transition], finding: Finding | None = None
    ) -> None:
        """Another severity, another phase, or the end of the episode. What was said last stays on an alarm that has
        ended.
        """
        severity = after.severity or entry.state.severity
        assert severity is not None
        entry.max_severity = max(entry.max_severity, severity)
        self._record(entry, transitions, finding)
        change: dict[str, Any] = {
            "id": entry.alarm_id, "severity": severity, "max_severity": entry.max_severity, "outstanding": True,
            "flapping": after.flap.on and after.severity is not None, "latched": after.phase is Phase.LATCHED,
            "transitions": entry.transitions,
        }  # fmt: skip
        if after.severity is None:
            change |= {"relieved_at": memory.instant(transitions[-1].at), "relieve_way": ReliefWay.AUTO}
        elif finding is not None:
            change |= {
                f"content_{language}": text for language, text in finding.content.items() if language in {"zh", "en"}
            }
        if entry.state.acknowledged and not after.acknowledged and after.severity is not None:
            change |= {"acknowledged_at": None, "acknowledged_by": None}
        entry.state = after
        self._writes.changed.append(change)

    def write(self, now: float) -> tuple[Happened, ...]:
        """Everything that has changed, in the order that foreign keys demand. Returns, and counts, what happened."""
        if self._writes.raised:
            self._session.execute(insert(Alarm), self._writes.raised)
        for rule_id, rule in self._rules.items():
            self._write_rule(rule_id, rule, now)
        self._write_states()
        if self._writes.changed:
            self._session.execute(update(Alarm), sorted(self._writes.changed, key=lambda change: str(change["id"])))
        if self._writes.history:
            self._session.execute(insert(AlarmTransition), self._writes.history)
        for happened in self._happened:
            TRANSITIONS.labels(happened.transition.change).inc()
        return tuple(self._happened)

    def forget_rules(self) -> None:
        """Drop the rules' own rows, after `write`."""
        self._session.execute(delete(AlarmRule).where(AlarmRule.rule_id.in_(self._rules)))

    def _record(self, entry: Entry, transitions: Sequence[Transition], finding: Finding | None) -> None:
        reason = "" if finding is None else finding.reason[:1024]
        data = {} if finding is None else {"value": finding.value, "verdicts": list(finding.verdicts)}
        for transition in transitions:
            entry.transitions += 1
            self._writes.history.append(
                {
                    "alarm_id": entry.alarm_id, "tenant_id": entry.tenant_id, "number": entry.transitions,
                    "reason": reason,
                    "at": memory.instant(transition.at), "change": transition.change, "before": transition.before,
                    "after": transition.after, "severity_before": transition.severity_before, "reason_data": data,
                    "severity_after": transition.severity_after, "fence": self._fence,
                }
            )  # fmt: skip
            self._happened.append(Happened(entry.alarm_id, entry.rule_id, entry.object_id, transition))

    def _read_rules(self) -> None:
        wanted = select(AlarmRule.rule_id, AlarmRule.evidence_until, AlarmRule.fence).where(
            AlarmRule.rule_id.in_(self._rules)
        )
        for rule_id, evidence_until, fence in self._session.execute(
            wanted.order_by(AlarmRule.rule_id).with_for_update()
        ):
            if fence > self._fence:
                raise Fenced(f"rule {rule_id}: token {self._fence} is older than {fence}")
            self._rules[rule_id] = _Rule(evidence_until, fence, exists=True)

    def _read_states(self) -> None:
        """The locks are a statement of their own: the one that reads then sees what their former holders wrote."""
        kept, alarm = AlarmState, Alarm
        if self._session.get_bind().dialect.name != "sqlite":
            locked = select(kept.rule_id).where(kept.rule_id.in_(self._rules)).order_by(kept.rule_id, kept.object_id)
            self._session.execute(locked.with_for_update())
        wanted = (
            select(
                kept.rule_id, kept.object_id, kept.tenant_id, kept.rungs, kept.evidence_until, kept.flap_score,
                kept.flap_at, kept.flapping, kept.alarm_id, alarm.severity, alarm.max_severity, alarm.acknowledged_at,
                alarm.shelved_until, alarm.transitions,
            )
            .outerjoin(alarm, kept.alarm_id == alarm.id)
            .where(kept.rule_id.in_(self._rules))
        )  # fmt: skip
        for (
            rule_id,
            object_id,
            tenant_id,
            rungs,
            evidence,
            score,
            at,
            flapping,
            alarm_id,
            *of_alarm,
        ) in self._session.execute(wanted):
            severity, max_severity, acknowledged_at, shelved_until, transitions = of_alarm
            stored = Stored(rungs=rungs, evidence_until=evidence, flap_score=score, flap_at=at, flapping=flapping)
            visible = Visible(severity=severity, acknowledged_at=acknowledged_at, shelved_until=shelved_until)
            state = memory.recalled(stored, visible, self._rules[rule_id].evidence_until)
            self._entries[rule_id][object_id] = Entry(
                rule_id, object_id, tenant_id, state, stored, alarm_id, alarm_id or "", max_severity or Severity.LOW,
                transitions or 0,
            )  # fmt: skip

    def _write_rule(self, rule_id: str, rule: _Rule, now: float) -> None:
        """Only timers need to know how far the evidence reaches: a rule without any writes nothing."""
        evident = any(entry.state.evidence_until == now for entry in self._entries[rule_id].values())
        after = _Rule(now if evident else rule.evidence_until, max(rule.fence, self._fence), exists=True)
        if not rule.exists and after != _Rule(exists=True):
            self._session.execute(
                insert(AlarmRule).values(rule_id=rule_id, evidence_until=after.evidence_until, fence=after.fence)
            )
        elif rule.exists and after != rule:
            changed = update(AlarmRule).where(AlarmRule.rule_id == rule_id)
            self._session.execute(changed.values(evidence_until=after.evidence_until, fence=after.fence))
        self._rules[rule_id] = after

    def _write_states(self) -> None:
        new: list[dict[str, Any]] = []
        changed: list[dict[str, Any]] = []
        gone: list[dict[str, Any]] = []
        for entry in self._all():
            key = {"rule_id": entry.rule_id, "object_id": entry.object_id}
            if entry.state == BLANK:
                gone += [] if entry.kept is None else [{"old_rule": entry.rule_id, "old_object": entry.object_id}]
                continue
            columns = memory.stored(entry.state, self._rules[entry.rule_id].evidence_until)
            alarm_id = None if entry.state.severity is None else entry.alarm_id
            if entry.kept is None:
                new.append({**key, **columns, "alarm_id": alarm_id, "tenant_id": entry.tenant_id})
            elif (columns, alarm_id) != (entry.kept, entry.kept_alarm_id):
                changed.append({**key, **columns, "alarm_id": alarm_id})
        if gone:
            table = AlarmState.__table__
            key_columns = (table.c.rule_id == bindparam("old_rule"), table.c.object_id == bindparam("old_object"))
            self._session.connection().execute(delete(AlarmState).where(*key_columns), gone)
        if new:
            self._session.execute(insert(AlarmState), new)
        if changed:
            self._session.execute(update(AlarmState), changed)

    def _all(self) -> Iterator[Entry]:
        return (entry for entries in self._entries.values() for entry in entries.values())
