"""The line keeper: whatever the order of arrival and wherever it is restarted, the same lines stand there at last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.lines import LineKeeper
from aggregator.rollup import Fold, roll_samples
from core.clock import VirtualClock
from core.settings import Settings
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.fields import FIELDS, Kind
from core.timeseries.policy import Policy, declared
from core.timeseries.store import Frame, Level, Lines, StoreUnavailable

ZONE = ZoneInfo("Asia/Shanghai")
T0 = datetime(2026, 3, 1, 23, 0, tzinfo=ZONE).timestamp()
"""The last hour of a day in the zone."""
_WIDTH = len(FIELDS[Kind.NIC])


def _policy(interval: float = 10.0) -> Policy:
    return declared(Settings(scrape_interval=interval), ZONE)


def _frame(samples: Sequence[tuple[str, float, float]], kind: Kind = Kind.NIC) -> Frame:
    width = len(FIELDS[kind])
    values = np.array([[x / (column + 3) for column in range(width)] for _, _, x in samples]).reshape(-1, width)
    return Frame(kind, [name for name, _, _ in samples], np.array([time for _, time, _ in samples], float), values)


class Setting:
    """A store with a keeper that can be killed: a new one starts on what the store holds."""

    def __init__(self, folder: Path, now: float = T0) -> None:
        self.store = EmbeddedStore(folder)
        self.clock = VirtualClock(datetime.fromtimestamp(now, UTC))
        self.restart()

    def restart(self) -> None:
        self.keeper = LineKeeper(self.store, _policy(), self.clock)

    def lines(self, level: Level, kind: Kind = Kind.NIC) -> list[Lines]:
        return list(self.store.read_lines(level, kind, 0, 2 * T0))

    def finish(self) -> None:
        """Long after the last sample everything is final."""
        self.clock.advance(3 * 86400)
        while self.keeper.step().pending:
            pass


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    setting = Setting(tmp_path)
    yield setting
    setting.store.close()


def _recomputed(samples: Sequence[tuple[str, float, float]]) -> dict[Level, list[Lines]]:
    """All lines from all samples at once."""
    policy, frame = _policy(), _frame(samples)
    minutes = [
        roll_samples(frame, start, start + 60, 6)
        for start in sorted({policy.start(Level.MINUTE, time) for _, time, _ in samples})
    ]
    answer = {Level.MINUTE: minutes}
    for level, finer in ((Level.HOUR, minutes), (Level.DAY, None)):
        folds: dict[float, Fold] = {}
        for lines in finer if finer is not None else answer[Level.HOUR]:
            folds.setdefault(policy.start(level, lines.start), Fold(Kind.NIC)).add(lines)
        answer[level] = [fold.lines(start, policy.expected(level, start)) for start, fold in sorted(folds.items())]
    return answer


def _assert_same(found: Sequence[Lines], wanted: Sequence[Lines]) -> None:
    assert [lines.start for lines in found] == [lines.start for lines in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert list(one.objects) == list(other.objects)
        assert one.expected == other.expected
        assert one.final
        for part in ("mean", "minimum", "maximum", "count"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part), err_msg=part)


_Event = list[tuple[str, int, int]] | tuple[int, bool] | int | str
_sample = st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 2 * 3600 - 1), st.integers(-1000, 1000))
_events = st.lists(
    st.one_of(
        st.lists(_sample, min_size=1, max_size=6),
        st.tuples(st.integers(1, 12), st.booleans()),
        st.integers(1, 900),
        st.sampled_from(["step", "restart"]),
    ),
    max_size=20,
)


class Died(StoreUnavailable):
    pass


class Mortal:
    """Dies at its n-th write, before or after it has been done."""

    def __init__(self, store: EmbeddedStore) -> None:
        self._store = store
        self.left = -1
        self.after = False

    def __getattr__(self, name: str) -> object:
        deed = getattr(self._store, name)
        if name not in {"write_lines", "set_mark", "prune"}:
            return deed

        def perform(*arguments: object) -> object:
            self.left -= 1
            if self.left == 0 and not self.after:
                raise Died
            answer = deed(*arguments)
            if self.left == 0:
                raise Died
            return answer

        return perform


class Story:
    """Events happen one by one: samples arrive, time passes, the keeper steps, is restarted, or dies in the middle."""

    def __init__(self, folder: Path) -> None:
        self.setting = Setting(folder)
        self.mortal = Mortal(self.setting.store)
        self.written: dict[tuple[str, float], float] = {}

    def happen(self, event: _Event) -> None:
        if isinstance(event, list):
            samples = [(name, T0 + second, float(x)) for name, second, x in event]
            self.setting.store.write([_frame(samples)])
            self.written.update({(name, time): x for name, time, x in samples})
        elif isinstance(event, tuple):
            self.die(*event)
        elif isinstance(event, int):
            self.setting.clock.advance(event)
        elif event == "step":
            self.setting.keeper.step()
        else:
            self.setting.restart()

    def die(self, write: int, after: bool) -> None:
        self.mortal.left, self.mortal.after = write, after
        self.setting.keeper._store = self.mortal  # type: ignore[assignment]
        with suppress(Died):
            self.setting.keeper.step()
        self.setting.restart()

    def wanted(self) -> dict[Level, list[Lines]]:
        return _recomputed([(name, time, x) for (name, time), x in self.written.items()])


@given(_events)
@settings(max_examples=40, deadline=None)
def test_any_arrival_and_any_death_give_the_same_lines(events: list[_Event]) -> None:
    with TemporaryDirectory() as folder:
        story = Story(Path(folder))
        for event in events:
            story.happen(event)
        story.setting.clock.advance(3600)
        story.setting.keeper.step()
        for level, lines in story.wanted().items():
            for one, other in zip(story.setting.lines(level), lines, strict=True):
                np.testing.assert_array_equal(one.count, other.count)
        story.setting.finish()
        for level, lines in story.wanted().items():
            _assert_same(story.setting.lines(level), lines)
        story.setting.store.close()


def test_an_unfinished_minute_shows_at_once_and_is_marked(setting: Setting) -> None:
    setting.store.write([_frame([("a", T0 + 1, 3.0)])])
    setting.clock.advance(2)
    setting.keeper.step()
    for level, expected in ((Level.MINUTE, 6), (Level.HOUR, 360), (Level.DAY, 8640)):
        (lines,) = setting.lines(level)
        assert (lines.final, lines.expected, lines.count.tolist()) == (False, expected, [[1, 1]])


def test_a_minute_is_final_once_newer_data_have_left_it_behind(setting: Setting) -> None:
    for second in range(0, 69, 10):
        setting.clock.instant = datetime.fromtimestamp(T0 + second + 1, UTC)
        setting.store.write([_frame([("a", T0 + second, 1.0)])])
        setting.keeper.step()
    assert [lines.final for lines in setting.lines(Level.MINUTE)] == [False, False]
    setting.store.write([_frame([("a", T0 + 70, 1.0)])])
    setting.clock.advance(60)
    setting.keeper.step()
    first, second = setting.lines(Level.MINUTE)
    assert (first.final, first.count[0, 0], second.final) == (True, 6, False)


def test_when_data_stop_windows_become_final_after_the_horizon(setting: Setting) -> None:
    setting.store.write([_frame([("a", T0, 1.0)])])
    setting.keeper.step()
    setting.clock.advance(60 + 3599)
    setting.keeper.step()
    assert not setting.lines(Level.MINUTE)[0].final
    setting.clock.advance(2)
    setting.keeper.step()
    assert setting.lines(Level.MINUTE)[0].final
    assert not setting.lines(Level.HOUR)[0].final
    setting.clock.advance(3600)
    setting.keeper.step()
    assert setting.lines(Level.HOUR)[0].final


def test_a_late_sample_enters_the_minute_the_hour_and_the_day(setting: Setting) -> None:
    setting.store.write([_frame([("a", T0, 1.0), ("a", T0 + 7200, 1.0)])])
    setting.clock.advance(7201)
    setting.keeper.step()
    assert setting.lines(Level.HOUR)[0].final
    setting.store.write([_frame([("a", T0 + 5, 4.0), ("late", T0 + 6, 4.0)])])
    setting.keeper.step()
    for level in (Level.MINUTE, Level.HOUR, Level.DAY):
        lines = setting.lines(level)[0]
        assert lines.final
        assert list(lines.objects) == ["a", "late"]
        assert lines.count[:, 0].tolist() == [2, 1]


def test_each_sample_is_taken_once_and_nothing_is_rewritten_without_need(setting: Setting) -> None:
    setting.store.write([_frame([("a", T0, 1.0), ("a", T0 + 7200, 1.0)])])
    setting.clock.advance(7300)
    setting.keeper.step()
    assert setting.keeper.step().windows == 0
    setting.restart()
    setting.keeper.step()
    assert setting.keeper.step().windows == 0


def test_an_unfinished_window_is_rewritten_at_its_refresh_and_not_before(setting: Setting) -> None:
    setting.store.write([_frame([("a", T0, 1.0)])])
    assert setting.keeper.step().windows == 3
    setting.store.write([_frame([("a", T0 + 1, 1.0)])])
    setting.clock.advance(1)
    assert setting.keeper.step().windows == 0
    setting.clock.advance(30)
    assert setting.keeper.step().windows == 1
    assert setting.lines(Level.MINUTE)[0].count[0, 0] == 2


def test_after_a_downtime_a_bounded_number_of_windows_is_caught_up_per_step(setting: Setting) -> None:
    setting.store.write([_frame([("a", T0 + 60 * minute, minute)]) for minute in range(150)])
    setting.clock.advance(150 * 60)
    progress = setting.keeper.step()
    assert progress.pending == 90
    assert setting.keeper.step().pending == 30
    assert setting.keeper.step().pending == 0
    assert len(setting.lines(Level.MINUTE)) == 150
    setting.finish()
    assert [lines.count[0, 0] for lines in setting.lines(Level.HOUR)] == [60, 60, 30]
    assert [lines.count[0, 0] for lines in setting.lines(Level.DAY)] == [60, 90]


def test_samples_that_are_not_in_their_lines_outlive_retention(setting: Setting) -> None:
    setting.store.write([_frame([("a", T0 + 60 * minute, minute)]) for minute in range(100)])
    setting.clock.advance(30 * 3600)
    setting.keeper.step()
    assert len(setting.store.read(Kind.NIC, 0, 2 * T0)) == 100
    setting.keeper.step()
    setting.keeper.step()
    assert len(setting.lines(Level.MINUTE)) == 100
    setting.clock.advance(61)
    setting.keeper.step()
    assert len(setting.store.read(Kind.NIC, 0, 2 * T0)) == 0


def test_a_late_sample_never_replaces_a_line_whose_samples_are_deleted(setting: Setting) -> None:
    setting.store.write([_frame([("a", T0, 1.0), ("a", T0 + 10, 2.0), ("a", T0 + 60, 1.0)])])
    setting.clock.advance(7 * 3600)
    setting.keeper.step()
    setting.restart()
    setting.store.write([_frame([("a", T0 + 20, 9.0)])])
    setting.keeper.step()
    assert setting.lines(Level.MINUTE)[0].count[0, 0] == 2


def test_retention_deletes_lines_of_each_level_by_its_own_age(setting: Setting) -> None:
    setting.store.write([_frame([("a", T0, 1.0)])])
    setting.keeper.step()
    setting.clock.advance(8 * 86400)
    setting.keeper.step()
    setting.clock.advance(61)
    setting.keeper.step()
    assert setting.lines(Level.MINUTE) == []
    assert len(setting.lines(Level.HOUR)) == len(setting.lines(Level.DAY)) == 1


def test_when_the_store_fails_the_next_step_goes_on(setting: Setting) -> None:
    mortal = Mortal(setting.store)
    setting.keeper._store = mortal  # type: ignore[assignment]
    setting.store.write([_frame([("a", T0 + 60 * minute, minute)]) for minute in range(5)])
    for left in range(1, 5):
        mortal.left = left
        with pytest.raises(StoreUnavailable):
            setting.keeper.step()
    mortal.left = -1
    setting.finish()
    _assert_same(setting.lines(Level.HOUR), _recomputed([("a", T0 + 60 * m, m) for m in range(5)])[Level.HOUR])


def test_kinds_have_their_own_watermark(setting: Setting) -> None:
    setting.store.write([_frame([("n", T0, 1.0)]), _frame([("v", T0, 1.0), ("v", T0 + 600, 1.0)], Kind.VM)])
    setting.clock.advance(601)
    setting.keeper.step()
    assert not setting.lines(Level.MINUTE)[0].final
    assert setting.lines(Level.MINUTE, Kind.VM)[0].final


def test_a_restart_in_the_middle_of_catching_up_forgets_nothing(setting: Setting) -> None:
    setting.store.write([_frame([("a", T0 + 60 * minute, minute)]) for minute in range(150)])
    setting.clock.advance(150 * 60)
    setting.keeper.step()
    setting.restart()
    setting.finish()
    assert len(setting.lines(Level.MINUTE)) == 150
    assert [lines.count[0, 0] for lines in setting.lines(Level.HOUR)] == [60, 60, 30]


def test_a_late_sample_corrects_what_an_unfinished_hour_has_added_up_already(setting: Setting) -> None:
    setting.store.write([_frame([("a", T0, 1.0), ("a", T0 + 60, 1.0), ("a", T0 + 300, 1.0)])])
    setting.clock.advance(301)
    setting.keeper.step()
    for late, count in ((5, 4), (65, 5)):
        setting.store.write([_frame([("a", T0 + late, 9.0)])])
        setting.clock.advance(61)
        setting.keeper.step()
        (hour,) = setting.lines(Level.HOUR)
        assert (hour.final, hour.count[0, 0], hour.maximum[0, 0]) == (False, count, 3.0)
