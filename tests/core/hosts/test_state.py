"""The host state machine: the table cell by cell, and what must hold whatever the evidence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.drivers.power import Power
from core.hosts.rows import HostReason, HostState
from core.hosts.state import (
    GOODS,
    MISSES,
    Beat,
    Evidence,
    HostStatus,
    Policy,
    Probe,
    heard,
    lost,
    may_fence,
    resumed,
    step,
)

POLICY = Policy.for_interval(10.0, 5.0)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLOCK = NOW.timestamp()
ME, OTHER = "detector-a", "detector-b"
UP, GONE, OFFLINE = HostState.RUNNING, HostState.STOPPED, HostState.OFFLINE
FAULT, HA = HostState.FAULT_DETECTING, HostState.HA_DETECTING


def good(samples: int = 5) -> Beat:
    return Beat("node", last_at=CLOCK - 1, goods=samples, good_from=CLOCK - 1 - 10 * (samples - 1))


def missed(samples: int = 2) -> Beat:
    return Beat("node", last_at=CLOCK - 1, misses=samples)


def evidence(beat: Beat | None = None, **known: object) -> Evidence:
    return replace(Evidence((beat or missed(),), ME, probe=Probe.REFUSED), **known)  # type: ignore[arg-type]


def status(state: HostState, age: float = 0.0, left: float | None = 1000.0, **rest: object) -> HostStatus:
    deadline = NOW + timedelta(seconds=left) if left is not None and state in {FAULT, HA} else None
    owner = ME if state is HA else None
    return replace(HostStatus(state, NOW - timedelta(seconds=age), deadline, owner, fence=7), **rest)  # type: ignore[arg-type]


def outcome(before: HostStatus, known: Evidence) -> tuple[HostState, HostReason | None]:
    after, transitions = step(before, known, NOW, POLICY)
    return after.state, transitions[0].reason if transitions else None


BACK = evidence(good(GOODS))
SILENT_OFF = evidence(power=Power.OFF)
SILENT_UNKNOWN = evidence(probe=Probe.SILENT, power=Power.UNKNOWN)

CELLS: dict[str, tuple[HostStatus, Evidence, HostState, HostReason | None]] = {
    "running, heard": (status(UP), evidence(good()), UP, None),
    "running, one miss": (status(UP), evidence(missed(1)), UP, None),
    "running, lost": (status(UP), evidence(), FAULT, HostReason.HEARTBEAT_LOST),
    "running, lost, accepts connections": (status(UP), evidence(probe=Probe.ACCEPTS), FAULT, HostReason.HEARTBEAT_LOST),
    "running, scrapes fail, answers when asked": (status(UP), evidence(probe=Probe.ANSWERS), UP, None),
    "running, lost, we are blind": (status(UP), evidence(blind_for=1.0), UP, None),
    "running, lost, blind for too long": (status(UP), evidence(blind_for=60.0), FAULT, HostReason.HEARTBEAT_LOST),
    "running, lost, braked": (status(UP), evidence(braked=True), FAULT, HostReason.HEARTBEAT_LOST),
    "running, lost, in maintenance": (status(UP), evidence(maintenance=True), FAULT, HostReason.HEARTBEAT_LOST),
    "detecting, too few good samples": (status(FAULT, 30), evidence(good(GOODS - 1)), FAULT, None),
    "detecting, back": (status(FAULT, 30), BACK, UP, HostReason.ANSWERED),
    "detecting, nothing known, in time": (status(FAULT, 30), evidence(), FAULT, None),
    "detecting, refused without a controller, in time": (status(FAULT, 59), evidence(), FAULT, None),
    "detecting, due": (status(FAULT, 60, 0), evidence(), OFFLINE, HostReason.NO_FAULT_FOUND),
    "detecting, due, its deadline is missing": (status(FAULT, 1, None), evidence(), OFFLINE, HostReason.NO_FAULT_FOUND),
    "detecting, due, one good sample": (status(FAULT, 60, 0), evidence(good(1)), UP, HostReason.ANSWERED),
    "detecting, due, link cut, power on": (
        status(FAULT, 60, 0), evidence(probe=Probe.ACCEPTS, power=Power.ON), OFFLINE, HostReason.NO_FAULT_FOUND,
    ),
    "detecting, off, not yet confirmed": (status(FAULT, 15), SILENT_OFF, FAULT, None),
    "detecting, off": (status(FAULT, 16), SILENT_OFF, HA, HostReason.POWERED_OFF),
    "detecting, off, but its port accepts": (
        status(FAULT, 16), evidence(power=Power.OFF, probe=Probe.ACCEPTS), FAULT, None,
    ),
    "detecting, silent, controller does not know": (status(FAULT, 29), SILENT_UNKNOWN, FAULT, None),
    "detecting, silent for long": (status(FAULT, 30), SILENT_UNKNOWN, HA, HostReason.PRESUMED_DEAD),
    "detecting, silent for long, no controller": (status(FAULT, 30), evidence(probe=Probe.SILENT), FAULT, None),
    "detecting, refused, controller does not know": (status(FAULT, 30), evidence(power=Power.UNKNOWN), FAULT, None),
    "detecting, off, braked": (status(FAULT, 16), replace(SILENT_OFF, braked=True), FAULT, None),
    "detecting, off, blind": (status(FAULT, 16), replace(SILENT_OFF, blind_for=90.0), FAULT, None),
    "detecting, off, braked, due": (
        status(FAULT, 60, 0), replace(SILENT_OFF, braked=True), OFFLINE, HostReason.NO_FAULT_FOUND,
    ),
    "detecting, off, fencing failed before": (status(FAULT, 16, fence_failures=1), SILENT_OFF, FAULT, None),
    "detecting, off, fencing failed before, due": (
        status(FAULT, 60, 0, fence_failures=1), SILENT_OFF, HA, HostReason.POWERED_OFF,
    ),
    "detecting, off, fencing failed too often, due": (
        status(FAULT, 60, 0, fence_failures=3), SILENT_OFF, OFFLINE, HostReason.NO_FAULT_FOUND,
    ),
    "detecting, off in maintenance": (
        status(FAULT, 1), replace(SILENT_OFF, maintenance=True), GONE, HostReason.MAINTENANCE,
    ),
    "HA, nothing new": (status(HA), SILENT_OFF, HA, None),
    "HA, fenced": (status(HA), replace(SILENT_OFF, fenced=7), GONE, HostReason.FENCED),
    "HA, fenced under another token": (status(HA), replace(SILENT_OFF, fenced=6), HA, None),
    "HA, fenced, owned by another": (status(HA, owner=OTHER), replace(SILENT_OFF, fenced=7), HA, None),
    "HA, fenced while braked": (status(HA), replace(SILENT_OFF, fenced=7, braked=True), GONE, HostReason.FENCED),
    "HA, back": (status(HA, 30), BACK, UP, HostReason.ANSWERED),
    "HA of another, back": (status(HA, 30, owner=OTHER), BACK, UP, HostReason.ANSWERED),
    "HA, put into maintenance": (status(HA), replace(SILENT_OFF, maintenance=True), FAULT, HostReason.MAINTENANCE),
    "HA, due": (status(HA, 60, 0), SILENT_OFF, FAULT, HostReason.FENCE_FAILED),
    "HA of a dead detector, due": (status(HA, 60, 0, owner=OTHER), SILENT_OFF, FAULT, HostReason.FENCE_FAILED),
    "offline, still lost": (status(OFFLINE, 900), evidence(), OFFLINE, None),
    "offline, back": (status(OFFLINE, 900), BACK, UP, HostReason.ANSWERED),
    "offline, found off": (status(OFFLINE, 900), SILENT_OFF, FAULT, HostReason.POWERED_OFF),
    "offline, found off, braked": (status(OFFLINE, 900), replace(SILENT_OFF, braked=True), OFFLINE, None),
    "offline, found off, failed too often": (status(OFFLINE, 900, fence_failures=3), SILENT_OFF, OFFLINE, None),
    "offline, off in maintenance": (
        status(OFFLINE, 900), replace(SILENT_OFF, maintenance=True), GONE, HostReason.MAINTENANCE,
    ),
    "stopped, still off": (status(GONE, 900), SILENT_OFF, GONE, None),
    "stopped, back": (status(GONE, 900), BACK, UP, HostReason.ANSWERED),
    "stopped, samples from before it stopped": (status(GONE, 5), evidence(good(5)), GONE, None),
}  # fmt: skip


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_of_the_table(cell: str) -> None:
    before, known, state, reason = CELLS[cell]
    assert outcome(before, known) == (state, reason)


def test_a_host_is_lost_only_when_all_its_sources_are() -> None:
    hung_page, good_page = missed(9), Beat("libvirt", last_at=CLOCK - 1, goods=9, good_from=CLOCK - 100)
    assert not lost(Evidence((hung_page, good_page), ME), NOW, POLICY)
    assert lost(Evidence((hung_page, replace(good_page, goods=0, misses=2)), ME), NOW, POLICY)


def test_samples_that_stop_coming_count_as_missed_after_the_patience() -> None:
    patience = MISSES * POLICY.interval + POLICY.grace
    assert not lost(evidence(replace(good(), last_at=CLOCK - patience)), NOW, POLICY)
    assert lost(evidence(replace(good(), last_at=CLOCK - patience - 0.1)), NOW, POLICY)


def test_old_good_samples_bring_no_host_back() -> None:
    stale = Beat("node", last_at=CLOCK - 16, goods=4, good_from=CLOCK - 46)
    assert outcome(status(OFFLINE, 900), evidence(stale))[0] is OFFLINE


def test_a_transition_carries_its_evidence_and_the_next_token() -> None:
    after, (transition,) = step(status(FAULT, 16), SILENT_OFF, NOW, POLICY)
    assert (after.fence, after.owner, after.deadline) == (8, ME, NOW + timedelta(seconds=POLICY.ha_for))
    assert (transition.at, transition.from_state, transition.to_state, transition.urgent) == (NOW, FAULT, HA, False)
    assert transition.evidence["power"] == "off"
    assert transition.evidence["beat.node"] == "2 missed, last sample 1.0 s ago"


def test_a_failed_fencing_is_urgent_and_counted_until_the_host_runs() -> None:
    after, (transition,) = step(status(HA, 60, 0), SILENT_OFF, NOW, POLICY)
    assert transition.urgent
    assert after.fence_failures == 1
    again, _ = step(replace(after, since=NOW - timedelta(seconds=30)), BACK, NOW, POLICY)
    assert (again.state, again.fence_failures) == (UP, 0)


@pytest.mark.parametrize(
    ("before", "known", "allowed"),
    [
        (status(HA), SILENT_OFF, True),
        (status(HA), SILENT_UNKNOWN, True),
        (status(HA, owner=OTHER), SILENT_OFF, False),
        (status(HA, 60, 0), SILENT_OFF, False),
        (status(HA), replace(SILENT_OFF, braked=True), False),
        (status(HA), replace(SILENT_OFF, blind_for=1.0), False),
        (status(HA), replace(SILENT_OFF, maintenance=True), False),
        (status(HA), replace(SILENT_OFF, power=Power.ON), False),
        (status(HA), evidence(good(1), power=Power.OFF), False),
        (status(FAULT), SILENT_OFF, False),
    ],
)
def test_only_the_holder_of_the_lock_fences_and_only_while_the_host_looks_dead(
    before: HostStatus, known: Evidence, allowed: bool
) -> None:
    assert may_fence(before, known, NOW, POLICY) is allowed


def test_deadlines_that_passed_while_nobody_watched_begin_anew() -> None:
    fresh = NOW + timedelta(seconds=POLICY.detect_for)
    assert resumed(status(FAULT, 900, -600), NOW, POLICY).deadline == fresh
    assert resumed(status(FAULT, -3600, 3600), NOW, POLICY).deadline == fresh, "the clock was set back"
    in_time = status(FAULT, 10, 50)
    assert resumed(in_time, NOW, POLICY) == in_time
    assert resumed(status(OFFLINE, 900), NOW, POLICY).deadline is None


# --- whatever the evidence

beats = st.builds(
    Beat,
    source=st.sampled_from(["node", "libvirt"]),
    last_at=st.floats(-200, 200).map(lambda age: CLOCK + age),
    misses=st.integers(0, 4),
    goods=st.integers(0, 4),
    good_from=st.floats(-200, 200).map(lambda age: CLOCK + age),
)
evidences = st.builds(
    Evidence,
    beats=st.lists(beats, max_size=2).map(tuple),
    detector=st.sampled_from([ME, OTHER]),
    probe=st.sampled_from([None, *Probe]),
    power=st.sampled_from([None, *Power]),
    fenced=st.none() | st.integers(0, 3),
    blind_for=st.none() | st.floats(0, 100),
    braked=st.booleans(),
    maintenance=st.booleans(),
)
runs = st.lists(st.tuples(st.floats(0.1, 20.0), evidences), min_size=1, max_size=60)
starts = st.builds(
    HostStatus,
    state=st.sampled_from(HostState),
    since=st.just(NOW - timedelta(seconds=5)),
    deadline=st.none() | st.just(NOW + timedelta(seconds=60)),
    owner=st.sampled_from([None, ME, OTHER]),
    fence=st.integers(0, 3),
    fence_failures=st.integers(0, 3),
)


def age_beats(known: Evidence, elapsed: float) -> Evidence:
    """The same evidence, seen `elapsed` seconds later."""
    moved = tuple(replace(b, last_at=b.last_at + elapsed, good_from=b.good_from + elapsed) for b in known.beats)
    return replace(known, beats=moved)


@given(starts, runs)
@settings(max_examples=200, deadline=None)
def test_no_state_but_the_resting_ones_outlives_its_deadline(
    start: HostStatus, run: list[tuple[float, Evidence]]
) -> None:
    now, host = NOW, start
    for pause, known in run:
        now += timedelta(seconds=pause)
        due = host.deadline is None or now >= host.deadline
        before = host
        host, transitions = step(host, age_beats(known, (now - NOW).total_seconds()), now, POLICY)
        if before.state in {FAULT, HA} and due:
            assert host.state is not before.state
        assert (host.deadline is not None) == (host.state in {FAULT, HA}) or not transitions
        assert bool(transitions) == (host is not before)


@given(starts, runs)
@settings(max_examples=200, deadline=None)
def test_only_a_certificate_under_the_present_token_leads_from_ha_detecting_to_stopped(
    start: HostStatus, run: list[tuple[float, Evidence]]
) -> None:
    now, host = NOW, start
    for pause, known in run:
        now += timedelta(seconds=pause)
        before = host
        host, transitions = step(host, age_beats(known, (now - NOW).total_seconds()), now, POLICY)
        for change in transitions:
            assert change.from_state is before.state
            assert change.to_state is host.state
            if (change.from_state, change.to_state) == (HA, GONE):
                assert (known.fenced, known.detector) == (before.fence, before.owner)
            if change.to_state is HA:
                assert change.from_state is FAULT
                assert (known.braked, known.maintenance, known.blind_for) == (False, False, None)
                assert lost(age_beats(known, (now - NOW).total_seconds()), now, POLICY)
                assert known.power in {Power.OFF, Power.UNKNOWN}


@given(runs)
@settings(max_examples=100, deadline=None)
def test_a_host_that_cannot_be_fenced_comes_to_rest(run: list[tuple[float, Evidence]]) -> None:
    """From whatever a run led to: dead, its controller deaf. It must not circle for ever between -1 and -2."""
    now, host = NOW, HostStatus(UP, NOW)
    for pause, known in run:
        now += timedelta(seconds=pause)
        host, _ = step(host, age_beats(known, (now - NOW).total_seconds()), now, POLICY)
    dead = Evidence((Beat("node", CLOCK, misses=9),), ME, probe=Probe.SILENT, power=Power.OFF)
    for _ in range(int(4 * (POLICY.detect_for + POLICY.ha_for) / 5) + 4):
        now += timedelta(seconds=5)
        host, _ = step(host, dead, now, POLICY)
    assert host.state in {OFFLINE, GONE}
    assert step(host, dead, now + timedelta(days=1), POLICY) == (host, ())


@given(st.lists(evidences, min_size=2, max_size=5), starts)
def test_of_detectors_that_decide_on_the_same_status_all_but_one_are_refused(
    known: list[Evidence], start: HostStatus
) -> None:
    """The compare-and-set on the token, as the database does it."""
    row, won = start, 0
    for view in known:
        after, transitions = step(start, view, NOW, POLICY)
        if transitions and row.fence == start.fence:
            row, won = after, won + 1
    assert won <= 1
    assert row.fence == start.fence + won


def test_an_answer_to_the_probe_is_as_good_as_a_sample() -> None:
    assert heard(evidence(probe=Probe.ANSWERS), NOW, POLICY)
    assert not lost(evidence(probe=Probe.ANSWERS), NOW, POLICY)


def test_silence_without_a_failed_scrape_needs_an_interval_of_unanswered_probes() -> None:
    silent = evidence(Beat("node", CLOCK - 1000, goods=5), probe=Probe.SILENT)
    assert not lost(replace(silent, unanswered_for=POLICY.interval - 0.1), NOW, POLICY)
    assert lost(replace(silent, unanswered_for=POLICY.interval), NOW, POLICY)
    assert lost(evidence(missed(), probe=Probe.SILENT, unanswered_for=0.0), NOW, POLICY)
