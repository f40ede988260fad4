"""From findings to alarms, durably: states, timers, history and notifications of one evaluation are one transaction.

The worst moment is a crash between any two statements: the transaction is rolled back as a whole, and the next
evaluation starts from the state before. The caller owns the transaction (`Database.platform(write=True)`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.alarms import machine
from core.alarms.announce import announce
from core.alarms.announcement import Routing, nobody
from core.alarms.finding import Evaluation, Finding, ObjectFacts, Verdict
from core.alarms.ledger import Entry, Fenced, Happened, Ledger
from core.alarms.machine import Change
from core.alarms.metrics import REFUSED
from core.alarms.rows import AlarmState

__all__ = ["Fenced", "Happened", "open_keys", "retire_rules", "settle"]

_log = structlog.get_logger(__name__)


def open_keys(session: Session) -> set[tuple[str, str]]:
    """(rule id, object id) of all that has a state: pending, raised, clearing, latched or flapping. Each is due a
    finding.
    """
    keys = select(AlarmState.rule_id, AlarmState.object_id)
    return {(rule_id, object_id) for rule_id, object_id in session.execute(keys)}


def settle(
    session: Session, evaluations: Sequence[Evaluation], now: datetime, *, routing: Routing = nobody, fence: int = 0
) -> tuple[Happened, ...]:
    """Take the evaluations in, tell the receivers of `routing`; what happened, in order. Each rule at most once in a
    call.

    `now` is the moment of the evaluation. Raises Fenced when a newer holder of the lease has written already.
    """
    moment = now.timestamp()
    ledger = Ledger(session, {evaluation.policy.rule_id for evaluation in evaluations}, fence)
    for evaluation in evaluations:
        for entry in [
            entry for key, entry in ledger.of(evaluation.policy.rule_id).items() if key not in evaluation.facts
        ]:
            _end(ledger, entry, Change.OBJECT_GONE, moment)
        _take_findings(ledger, evaluation, moment)
    happened = ledger.write(moment)
    announce(session, routing, now)
    return happened


def retire_rules(
    session: Session, keep: Collection[str], now: datetime, *, routing: Routing = nobody, fence: int = 0
) -> tuple[Happened, ...]:
    """Forget the rules that are not in `keep`: their open alarms are closed, with that reason."""
    gone = set(session.scalars(select(AlarmState.rule_id).distinct())) - set(keep)
    ledger = Ledger(session, gone, fence)
    for rule_id in sorted(gone):
        for entry in ledger.of(rule_id).values():
            _end(ledger, entry, Change.RULE_GONE, now.timestamp())
    happened = ledger.write(now.timestamp())
    ledger.forget_rules()
    announce(session, routing, now)
    return happened


def _take_findings(ledger: Ledger, evaluation: Evaluation, now: float) -> None:
    """Every finding one step; alarms beyond the rule's limit are not created, and tried again at each evaluation."""
    policy = evaluation.policy
    states = ledger.of(policy.rule_id)
    room = policy.limit - sum(entry.state.severity is not None for entry in states.values())
    refused = 0
    for finding in evaluation.findings:
        facts = evaluation.facts.get(finding.object_id)
        if facts is None or (finding.object_id not in states and not _may_begin(finding)):
            continue
        entry = states.get(finding.object_id) or ledger.fresh(policy.rule_id, finding.object_id, facts)
        before = entry.state
        after, transitions = machine.step(before, _in_service(finding, facts), policy, now)
        if before.severity is None and after.severity is not None and room <= 0:
            entry.state = replace(after, severity=None, flap=before.flap)
            refused += 1
            continue
        room += (before.severity is not None) - (after.severity is not None)
        if not transitions:
            entry.state = after
        elif before.severity is None:
            ledger.raised(entry, after, transitions, policy, finding, facts)
        else:
            ledger.changed(entry, after, transitions, finding)
    if refused:
        REFUSED.inc(refused)
        _log.warning("alarms_refused", rule=policy.rule_id, limit=policy.limit, refused=refused)


def _may_begin(finding: Finding) -> bool:
    return Verdict.RAISE in finding.verdicts or Verdict.NO_DATA in finding.verdicts


def _in_service(finding: Finding, facts: ObjectFacts) -> Finding:
    if facts.in_service or not _may_begin(finding) or Verdict.FAILED in finding.verdicts:
        return finding
    return replace(
        finding, verdicts=tuple(Verdict.CLEAR if v is Verdict.CLEAR else Verdict.HOLD for v in finding.verdicts)
    )


def _end(ledger: Ledger, entry: Entry, change: Change, now: float) -> None:
    after, transition = machine.close(entry.state, change, now)
    if entry.state.severity is None:
        entry.state = after
    else:
        ledger.changed(entry, after, (transition,))
