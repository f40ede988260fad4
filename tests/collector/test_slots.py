"""The grid of scrapes, on times that are handed in."""

from __future__ import annotations

import math

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from collector.slots import Slots, align

NOW = 1_790_000_000.0
INTERVALS = st.sampled_from([0.2, 0.5, 1.0, 7.3, 10.0, 60.0, 3600.0])


@settings(deadline=None)
@given(INTERVALS, st.integers(0, 2**40), st.text(min_size=1, max_size=20))
def test_slots_lie_on_the_targets_own_grid_and_survive_a_restart(interval: float, seed: int, target: str) -> None:
    first, second = Slots(interval, seed), Slots(interval, seed)
    first.add(target, NOW)
    second.add(target, NOW + 100 * interval + 0.01)
    offset = first.offset(target)
    assert 0 <= offset < interval
    assert second.offset(target) == offset
    for slots in (first, second):
        when = slots.next()
        assert when is not None
        steps = (when - offset) / interval
        assert math.isclose(steps, round(steps), abs_tol=1e-3)


def test_offsets_are_spread_over_the_interval_and_differ_between_installations() -> None:
    slots, other = Slots(10, 1), Slots(10, 2)
    offsets = [slots.offset(f"host-{n}/node") for n in range(1000)]
    assert all(60 <= sum(tenth <= offset < tenth + 1 for offset in offsets) <= 150 for tenth in range(10))
    assert sum(slots.offset(f"host-{n}/node") == other.offset(f"host-{n}/node") for n in range(100)) < 5


@settings(deadline=None)
@given(INTERVALS, st.lists(st.floats(0.001, 5), min_size=1, max_size=30))
def test_each_target_is_due_once_per_call_and_every_slot_is_either_made_or_missed(
    interval: float, naps: list[float]
) -> None:
    slots = Slots(interval, 3)
    slots.add("a", NOW)
    first = slots.next()
    assert first is not None
    now, made, missed = NOW, 0, 0
    for nap in naps:
        now += nap * interval
        due = list(slots.due(now))
        assert len(due) <= 1
        for slot in due:
            made, missed = made + 1, missed + slot.missed
            assert slot.scheduled <= now < slot.scheduled + interval * 1.001
        upcoming = slots.next()
        assert upcoming is not None
        assert now < upcoming <= now + interval * 1.001
    passed = math.floor((now - first) / interval + 1e-6) + 1
    assert abs(made + missed - passed) <= 1  # a slot on the very edge counts to either side


def test_a_late_loop_skips_and_counts_and_does_not_burst() -> None:
    slots = Slots(10, 0)
    slots.add("a", NOW)
    first = slots.next()
    assert first is not None
    (slot,) = slots.due(first + 35)
    assert slot.scheduled == first + 30
    assert slot.missed == 3
    assert list(slots.due(first + 35)) == []
    assert slots.next() == first + 40


def test_removed_targets_are_never_due() -> None:
    slots = Slots(1, 0)
    slots.add("a", NOW)
    slots.add("b", NOW)
    slots.remove("a")
    assert [slot.target for slot in slots.due(NOW + 2)] == ["b"]
    slots.remove("b")
    assert slots.next() is None
    assert len(slots) == 0


def test_a_target_added_again_keeps_its_offset_and_has_one_slot() -> None:
    slots = Slots(10, 0)
    slots.add("a", NOW)
    before = slots.next()
    slots.remove("a")
    slots.add("a", NOW)
    assert slots.next() == before
    assert len(list(slots.due(NOW + 10))) == 1


@settings(deadline=None)
@given(st.floats(-100_000, 100_000))
def test_after_the_wall_clock_was_set_the_grid_goes_on_at_once_and_nothing_counts_as_missed(jump: float) -> None:
    slots = Slots(10, 0)
    for number in range(5):
        slots.add(f"t{number}", NOW)
    now = NOW + jump
    slots.rebase(now)
    assert list(slots.due(now)) == []
    due = list(slots.due(now + 10))
    assert len(due) == 5
    assert all(slot.missed == 0 for slot in due)


@settings(deadline=None)
@given(INTERVALS, st.floats(0, 3600))
def test_a_time_stamp_is_the_scheduled_one_or_the_true_one(interval: float, late: float) -> None:
    assume(abs(late - min(interval / 20, 0.1)) > 1e-4)
    stamp = align(NOW, NOW + late, interval)
    assert stamp == (NOW if late < min(interval / 20, 0.1) else NOW + late)


def test_a_scrape_before_its_time_is_not_dated_into_the_future() -> None:
    assert align(NOW, NOW - 0.01, 10) == NOW - 0.01
