"""The machine's state as it lies in the database: what is recalled equals what was stored.

Acknowledgement and shelving stand on the alarm, where people see them; timers and the flap score in `AlarmState`. A
timer whose evidence is as fresh as its rule's is stored without its own time: it runs on without a write.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict

from core.alarms.finding import Severity
from core.alarms.machine import Flap, RungState, State


class Stored(TypedDict):
    """The columns of `AlarmState` that hold a state."""

    rungs: list[list[Any]]
    evidence_until: float | None
    flap_score: float
    flap_at: float
    flapping: bool


class Visible(TypedDict):
    """The columns of `Alarm` that belong to its state."""

    severity: Severity | None
    acknowledged_at: datetime | None
    shelved_until: datetime | None


def stored(state: State, rule_evidence: float | None) -> Stored:
    return Stored(
        rungs=[[int(rung.severity), rung.on, rung.since] for rung in state.rungs],
        evidence_until=None if state.evidence_until == rule_evidence else state.evidence_until,
        flap_score=state.flap.score,
        flap_at=state.flap.at,
        flapping=state.flap.on,
    )


def recalled(kept: Stored, alarm: Visible, rule_evidence: float | None) -> State:
    rungs = tuple(RungState(Severity(severity), on, since) for severity, on, since in kept["rungs"])
    return State(
        rungs=rungs,
        severity=alarm["severity"],
        evidence_until=_evidence(kept["evidence_until"], rungs, rule_evidence),
        flap=Flap(kept["flap_score"], kept["flap_at"], kept["flapping"]),
        acknowledged=alarm["acknowledged_at"] is not None,
        shelved_until=None if alarm["shelved_until"] is None else alarm["shelved_until"].timestamp(),
    )


def instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _evidence(own: float | None, rungs: Sequence[RungState], rule_evidence: float | None) -> float | None:
    if all(rung.since is None for rung in rungs):
        return None
    return rule_evidence if own is None else own
