"""Heartbeats out of samples, and what all hosts together say about ourselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.drivers.power import Power
from core.hosts.evidence import Fleet, Pulse, Survey, fold, judge_fleet, survey
from core.hosts.rows import HostReason, HostState, Origin
from core.hosts.state import Beat, Evidence, HostStatus, Policy
from core.hosts.targets import Exporter
from core.hosts.watched import Watched
from core.timeseries.fields import COLUMN, FIELDS, Kind
from core.timeseries.store import Frame

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLOCK = NOW.timestamp()
POLICY = Policy.for_interval(10.0, 5.0)


def a_host(name: str, state: HostState = HostState.RUNNING, origin: Origin = Origin.REGISTERED) -> Watched:
    urls = {Exporter.NODE: f"http://{name}/metrics", Exporter.LIBVIRT: f"http://{name}/libvirt"}
    return Watched(name, origin, False, True, urls, HostStatus(state, NOW - timedelta(hours=1)))


def samples(*ups: tuple[str, float, float]) -> Frame:
    values = np.full((len(ups), len(FIELDS[Kind.TARGET])), np.nan)
    values[:, COLUMN[Kind.TARGET]["up"]] = [up for _, _, up in ups]
    return Frame(Kind.TARGET, [name for name, _, _ in ups], np.array([at for _, at, _ in ups]), values)


def test_samples_are_counted_once_and_in_a_row() -> None:
    pulse, host = Pulse(), a_host("h1")
    pulse.watch([host], NOW)
    for at, up in ((1, 1.0), (1, 1.0), (11, 1.0), (21, 0.0), (21, 0.0)):
        pulse.hear(
            samples(("h1/node", CLOCK + at, up), ("h1/libvirt", CLOCK + at, 1.0), ("other/node", CLOCK, 1.0)), NOW
        )
    node, libvirt = pulse.of(host)
    assert node == Beat("node", CLOCK + 21, misses=1)
    assert libvirt == Beat("libvirt", CLOCK + 21, goods=3, good_from=CLOCK + 1)


def test_a_sample_that_says_nothing_is_none() -> None:
    pulse, host = Pulse(), a_host("h1")
    pulse.watch([host], NOW)
    pulse.hear(samples(("h1/node", CLOCK + 1, float("nan"))), NOW)
    assert pulse.of(host)[0] == Beat("node", CLOCK)


def test_silence_counts_from_the_beginning_of_the_watch_not_from_an_old_sample() -> None:
    assert fold(Beat("node", CLOCK), CLOCK - 500, up=True).last_at == CLOCK
    assert fold(Beat("node", CLOCK), CLOCK - 500, up=False).last_at == CLOCK


def test_beginning_anew_forgets_misses() -> None:
    pulse, host = Pulse(), a_host("h1")
    pulse.watch([host], NOW)
    pulse.hear(samples(("h1/node", CLOCK + 1, 0.0)), NOW)
    pulse.restart(NOW + timedelta(hours=1))
    assert pulse.of(host)[0] == Beat("node", CLOCK + 3600)


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans())))
def test_a_beat_is_either_good_or_missed_and_reads_no_sample_twice(series: list[tuple[int, bool]]) -> None:
    beat = Beat("node", CLOCK)
    for second, up in series:
        before, beat = beat, fold(beat, CLOCK + second, up=up)
        assert not (beat.misses and beat.goods)
        assert beat.last_at >= before.last_at
        assert fold(beat, CLOCK + second, up=not up) == beat


def seen(name: str, **known: object) -> tuple[Watched, Evidence]:
    good = Beat("node", CLOCK - 1, goods=3, good_from=CLOCK - 21)
    return a_host(name), replace(Evidence((good,), "d"), **known)  # type: ignore[arg-type]


def silent(name: str, state: HostState = HostState.RUNNING, **known: object) -> tuple[Watched, Evidence]:
    return a_host(name, state), replace(Evidence((Beat("node", CLOCK - 1, misses=3),), "d"), **known)  # type: ignore[arg-type]


def test_who_counts_as_watched_suspected_and_seen() -> None:
    here = (a_host("here", origin=Origin.LOCAL), seen("here")[1])
    hosts = [
        seen("a"), silent("b"), silent("c", HostState.FAULT_DETECTING), silent("d", HostState.OFFLINE),
        silent("e", HostState.OFFLINE, power=Power.OFF), silent("f", HostState.STOPPED), silent("g", maintenance=True),
        seen("h", maintenance=True), here,
    ]  # fmt: skip
    assert survey(hosts, NOW, POLICY) == Survey(hosts=8, watched=4, suspects=3, seen=2)


@pytest.mark.parametrize(
    ("watched", "suspects", "engaged"),
    [(4, 2, False), (4, 3, True), (5, 3, True), (6, 3, False), (6, 4, True), (500, 25, False), (500, 26, True)],
)
def test_the_brake_engages_when_too_many_are_suspected(watched: int, suspects: int, engaged: bool) -> None:
    fleet, notes = judge_fleet(Fleet(), Survey(watched, watched, suspects, watched - suspects), NOW, POLICY)
    assert fleet.braked is engaged
    assert [note.reason for note in notes] == ([HostReason.BRAKE_ENGAGED] if engaged else [])


def run(*steps: tuple[float, Survey]) -> tuple[Fleet, list[str]]:
    """Seconds after the beginning, and what is counted then."""
    fleet, told = Fleet(), []
    for at, counted in steps:
        fleet, notes = judge_fleet(fleet, counted, NOW + timedelta(seconds=at), POLICY)
        told += [f"{at:g} {note.reason}" for note in notes]
    return fleet, told


def test_the_brake_lets_go_after_calm_without_interruption() -> None:
    many, few = Survey(10, 10, 6, 4), Survey(10, 10, 2, 8)
    _, told = run((0, many), (10, few), (60, few), (69, many), (70, few), (129, few), (130, few))
    assert told == ["0 brake_engaged", "130 brake_released"]


def test_blindness_ends_when_every_host_has_had_the_time_to_be_heard() -> None:
    nobody, one, all_ = Survey(4, 4, 4, 0), Survey(4, 4, 3, 1), Survey(4, 4, 0, 4)
    fleet, told = run((0, nobody), (50, one))
    assert told == ["0 own_link_lost"]
    assert fleet.blind_for(NOW + timedelta(seconds=60)) == 50
    assert run((0, nobody), (50, one), (65, all_), (66, all_))[1] == ["0 own_link_lost", "66 own_link_back"]
    assert run((0, nobody), (50, one), (60, nobody), (70, all_), (80, all_))[1] == ["0 own_link_lost"]


def test_blindness_does_not_end_by_giving_all_hosts_up() -> None:
    assert run((0, Survey(4, 4, 4, 0)), (200, Survey(4, 0, 0, 0)))[1] == ["0 own_link_lost"]


def test_one_host_alone_is_no_reason_to_doubt_ourselves() -> None:
    assert run((0, Survey(1, 1, 1, 0)))[1] == []


def test_many_that_are_silent_because_we_are_blind_do_not_engage_the_brake() -> None:
    fleet, _ = run((0, Survey(9, 9, 9, 0)))
    assert not fleet.braked


def test_a_sample_from_the_future_is_none() -> None:
    pulse, host = Pulse(), a_host("h1")
    pulse.watch([host], NOW)
    pulse.hear(samples(("h1/node", CLOCK + 3600, 1.0), ("h1/libvirt", CLOCK + 30, 1.0)), NOW)
    node, libvirt = pulse.of(host)
    assert node == Beat("node", CLOCK)
    assert libvirt.goods == 1
