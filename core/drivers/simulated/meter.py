"""Counters over a life of changes: load is a function of time alone, and what was done to an object bends it.

The work of an object since the beginning is `done + gain * (total(at) - base) + extra * (at - since)`: `done` is what
it had done when something last changed, at `since`; `gain` follows the load (0 while it is off), `extra` is a constant
rate that was injected. A counter on a page is the work since the object's last start. Work never falls, so a host that
sums up its VMs counts on while they restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.drivers.simulated.chance import Floats
from core.drivers.simulated.load import Channel, Ints, Profile

Pair = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Life:
    """What must be kept of an object that was touched. `done` and `zero` have one number per channel."""

    since: float
    done: Sequence[float]
    zero: Sequence[float]


class Meters:
    """Work of n objects; all arrays (channels, n). Not thread-safe: one thread owns it."""

    def __init__(self, profile: Profile, boot: Floats) -> None:
        self._profile = profile
        self._since = boot.copy()
        self._base = profile.total(boot)
        self._done = np.zeros_like(self._base)
        self._zero = np.zeros_like(self._base)
        self._gain = np.ones_like(self._base)
        self._extra = np.zeros_like(self._base)

    @property
    def size(self) -> int:
        return len(self._since)

    def grow(self, profile: Profile) -> None:
        """More objects, at the end: `profile` is that of all. They begin when `begin` says so."""
        more = np.zeros((len(Channel), profile.level.shape[1] - len(self._since)))
        self._profile = profile
        self._since = np.append(self._since, more[0])
        for name in ("_base", "_done", "_zero", "_gain", "_extra"):
            setattr(self, name, np.hstack((getattr(self, name), more)))

    def begin(self, item: int, at: float) -> None:
        """Another object stands at this position from `at` on: it has done nothing, and does nothing yet."""
        self._since[item] = at
        for column in (self._done, self._zero, self._gain, self._extra):
            column[:, item] = 0.0
        self._base[:, item] = self._profile.take(np.array([item])).total(at)[:, 0]

    def work(self, at: float | Floats, objects: Ints, profile: Profile | None = None) -> Floats:
        """Work since the beginning; `profile` is the taken part for `objects`, when the caller keeps it. (...,
        channels, n)."""
        since = self._since[objects]
        when = np.maximum(at, since)
        load = (profile or self._profile.take(objects)).total(when) - self._base[:, objects]
        done, gain, extra = self._done[:, objects], self._gain[:, objects], self._extra[:, objects]
        result: Floats = done + gain * load + extra * (when - since)
        return result

    def counters(self, work: Floats, objects: Ints) -> Floats:
        """The same work, since the last start of each object."""
        result: Floats = work - self._zero[:, objects]
        return result

    def bend(self, item: int, at: float, cpu_gain: float, gain: float, cpu_extra: float) -> None:
        """From `at` on the load counts `gain` times (CPU: `cpu_gain` times, and `cpu_extra` busy seconds per second
        more)."""
        one = np.array([item])
        self._done[:, item] = self.work(at, one)[:, 0]
        self._since[item] = max(at, self._since[item])
        self._base[:, item] = self._profile.take(one).total(float(self._since[item]))[:, 0]
        self._gain[:, item] = gain
        self._gain[Channel.CPU, item] = cpu_gain
        self._extra[Channel.CPU, item] = cpu_extra

    def restart(self, items: Sequence[int], at: float) -> None:
        """Counters of these objects begin at 0 at `at`."""
        objects = np.array(items, np.int64)
        self._zero[:, objects] = self.work(at, objects)

    def life(self, item: int) -> Life:
        return Life(float(self._since[item]), self._done[:, item].tolist(), self._zero[:, item].tolist())

    def resume(self, item: int, life: Life) -> None:
        """Undo of `life`; gains are set by the `bend` that follows, at the same instant."""
        self._since[item] = life.since
        self._done[:, item] = life.done
        self._zero[:, item] = life.zero
        self._base[:, item] = self._profile.take(np.array([item])).total(life.since)[:, 0]
