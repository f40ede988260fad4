"""A day of a cloud in which something is always the matter: only outages raise the alarm of an unreachable host.

STARVC_REPLAY_HOURS says how long the day is (24), STARVC_REPLAY_SEED which day.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from core.db.engine import Database
from tests.support.day import HOUR, INTERVAL, OUTAGES, Day, Incident, Trouble, incidents
from tests.support.state import on_one_kind

HOURS = float(os.environ.get("STARVC_REPLAY_HOURS", "24"))
SEED = int(os.environ.get("STARVC_REPLAY_SEED", "1"))
HOSTS = tuple(f"h{number}" for number in range(1, 7))
UNREACHABLE = "host-unreachable"
LATEST = 3 * INTERVAL + 2
"""Seconds until the alarm of an outage, while we are there to see it."""
RETURN = 6 * INTERVAL
"""Seconds until its relief."""
AWAY = 40.0
pytestmark = on_one_kind


@contextmanager
def noisy(database: Database, folder: Path, seconds: int, troubles: Sequence[Incident] | None = None) -> Iterator[Day]:
    """With a collector that is away about four times an hour, a process that restarts every half hour, and a wall clock
    that is set every two hours."""
    chance = random.Random(SEED)
    away, restarts, jumps = {}, set(), {}
    for second in range(300, seconds - 600):
        match chance.randrange(7200):
            case 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7:
                away[second] = chance.uniform(3, AWAY)
            case 8 | 9 | 10 | 11:
                away[second] = chance.uniform(3, AWAY)
                restarts.add(second)
            case 12:
                jumps[second] = chance.choice([-30.0, -3.0, 3.0, 60.0, 3600.0])
    played = incidents(HOSTS, seconds, chance) if troubles is None else troubles
    with closing(Day(database, folder, played, away, restarts, jumps, chance)) as day:
        yield day


def check(day: Day) -> tuple[int, float]:
    """Every outage is one alarm, and every alarm an outage; how many, and how late the latest was."""
    raised = [(at, host) for at, rule, host, change in day.history if rule == UNREACHABLE and change == "raised"]
    relieved = [(at, host) for at, rule, host, change in day.history if rule == UNREACHABLE and change == "relieved"]
    outages = [trouble for trouble in day.troubles if trouble.trouble in OUTAGES]
    latest = 0.0
    for outage in outages:
        mine = [at for at, host in raised if host == outage.host and outage.start <= at <= outage.end + INTERVAL]
        ends = [at for at, host in relieved if host == outage.host and outage.end <= at <= outage.end + RETURN + AWAY]
        assert (len(mine), len(ends)) == (1, 1), f"{outage}: raised {mine}, relieved {ends}"
        disturbed = [at for at in (*day.away, *day.restarts, *day.jumps) if outage.start - AWAY <= at <= mine[0]]
        if not disturbed:
            latest = max(latest, mine[0] - outage.start)
    false = len(raised) - len(outages)
    assert false == 0, [(at, host) for at, host in raised if not _during(outages, at, host)]
    assert len(relieved) == len(raised)
    assert latest <= LATEST
    return len(outages), latest


def _during(outages: Sequence[Incident], at: float, host: str) -> bool:
    return any(outage.host == host and outage.start <= at <= outage.end + INTERVAL for outage in outages)


def played(day: Day, hours: float) -> None:
    outages, latest = check(day)
    noise = len(day.troubles) - outages
    disturbed = f"{len(day.away)} absences of the collector, {len(day.restarts)} restarts, {len(day.jumps)} clock jumps"
    print(f"\n{hours:g} h of {len(HOSTS)} hosts: {noise} hiccups, {disturbed}: 0 false alarms;", end=" ")
    print(f"{outages} outages, each raised once and relieved, within {latest:.0f} s where nothing disturbed us")


@pytest.mark.benchmark
@pytest.mark.timeout(3600)
def test_a_noisy_day_raises_nothing_but_its_outages(database: Database, tmp_path: Path) -> None:
    seconds = int(HOURS * HOUR)
    with noisy(database, tmp_path, seconds) as day:
        day.run(seconds)
    played(day, HOURS)


def test_half_an_hour_of_noise_raises_nothing_but_its_outages(database: Database, tmp_path: Path) -> None:
    seconds = HOUR // 2
    calm = [one for one in incidents(HOSTS, seconds + 900, random.Random(SEED)) if one.trouble not in OUTAGES]
    outages = [Incident("h1", Trouble.CRASH, 400, 640), Incident("h2", Trouble.LONG_CUT, 900, 1080)]
    around = [
        one for one in calm
        if not any(one.host == out.host and one.start < out.end + 240 and one.end > out.start - 60 for out in outages)
    ]  # fmt: skip
    with noisy(database, tmp_path, seconds, sorted([*around, *outages], key=lambda one: one.start)) as day:
        day.run(seconds)
    played(day, 0.5)


def test_a_missed_scrape_before_an_absence_of_the_collector_is_no_outage(database: Database, tmp_path: Path) -> None:
    misses = [Incident(host, Trouble.MISS, 100, 110) for host in HOSTS]
    with closing(Day(database, tmp_path, misses, {111: 30.0}, (), {}, random.Random(1))) as day:
        day.run(240)
    assert day.history == []


def test_a_short_cut_while_the_collector_is_away_is_no_outage(database: Database, tmp_path: Path) -> None:
    """Nobody scrapes, and for nine seconds nobody answers the probe."""
    cuts = [Incident(host, Trouble.SHORT_CUT, 130, 139) for host in HOSTS]
    with closing(Day(database, tmp_path, cuts, {100: 39.0}, (), {}, random.Random(1))) as day:
        day.run(240)
    assert [rule for _, rule, _, _ in day.history if rule == UNREACHABLE] == []


def test_ten_minutes_without_the_store_raise_the_alarm_that_says_so_and_touch_no_other(
    database: Database, tmp_path: Path
) -> None:
    """One host is unreachable all the time, one dies meanwhile - that is no measured value - and four are well."""
    outages = [Incident("h1", Trouble.LONG_CUT, 60, 1200), Incident("h2", Trouble.CRASH, 500, 1200)]
    well = [Incident(host, Trouble.SLOW, 30, 40) for host in HOSTS[2:]]
    troubles = sorted([*well, *outages], key=lambda one: one.start)
    with closing(Day(database, tmp_path, troubles, {}, (), {}, random.Random(1), {300: 600.0})) as day:
        day.run(1140)
    before = [(rule, name, change) for at, rule, name, change in day.history if at < 300]
    after = [(rule, name, change) for at, rule, name, change in day.history if at >= 300]
    assert before == [("host-unreachable", "h1", "raised")]
    assert after == [
        ("store-unavailable", "platform", "raised"),
        ("host-unreachable", "h2", "raised"),
        ("store-unavailable", "platform", "relieved"),
    ]
