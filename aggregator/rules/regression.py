"""Straight lines through the past of many objects at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.timeseries.store import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """`value` (n,) of the line at `origin` (epoch seconds) and `slope` (n,) per second; NaN: too little is known."""

    origin: float
    value: Floats
    slope: Floats

    def until(self, full: Floats | float, now: float) -> Floats:
        """Seconds from `now` until the line rises to `full`; infinite when it does not rise, 0 when it is there."""
        left = np.asarray(full, dtype=np.float64) - (self.value + self.slope * (now - self.origin))
        rising = self.slope > 0
        with np.errstate(over="ignore"):  # hardly any slope: infinity is the right answer
            seconds = np.where(rising, left / np.where(rising, self.slope, 1.0), np.inf)
        seconds = np.where(left <= 0, 0.0, seconds)
        return np.where(np.isnan(left) | np.isnan(self.slope), np.nan, seconds)


def fit(times: Floats, values: Floats, least: float) -> Line:
    """Least squares through `values` (t, n) at `times` (t,); an object needs `least` values, at different times."""
    origin = float(times[-1]) if len(times) else 0.0
    since = times - origin
    known = ~np.isnan(values)
    weight = known.astype(np.float64)
    count = weight.sum(axis=0)
    safe = np.maximum(count, 1.0)
    filled = np.where(known, values, 0.0)
    middle_time, middle_value = since @ weight / safe, filled.sum(axis=0) / safe
    covariance = since @ filled / safe - middle_time * middle_value
    variance = (since * since) @ weight / safe - middle_time**2
    enough = (count >= least) & (variance > 0)
    slope = np.where(enough, covariance / np.where(variance > 0, variance, 1.0), np.nan)
    return Line(origin, middle_value - slope * middle_time, slope)
