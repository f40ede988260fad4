"""Straight lines through the past of many objects at once."""

from __future__ import annotations

import numpy as np

from core.timeseries.store import Floats


def time_until(full: Floats | float, times: Floats, values: Floats, least: float) -> Floats:
    """Seconds until the least-squares line through (times, values) rises to `full`; infinite when it does not rise.

    `times` (t,) relative to now, `values` (t, n); fewer than `least` values of an object, or no `full`: NaN; already there: 0.
    """
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    safe = np.maximum(count, 1)
    filled = np.where(known, values, 0.0)
    middle_time = times @ known / safe
    middle_value = filled.sum(axis=0) / safe
    covariance = times @ filled / safe - middle_time * middle_value
    variance = (times * times) @ known / safe - middle_time**2
    slope = covariance / np.where(variance > 0, variance, np.nan)
    current = middle_value - slope * middle_time
    left = np.broadcast_to(np.asarray(full, dtype=np.float64) - current, slope.shape)
    rising = slope > 0
    seconds = np.where(rising, left / np.where(rising, slope, 1.0), np.inf)
    seconds = np.where(left <= 0, 0.0, seconds)
    return np.where((count >= least) & ~np.isnan(left) & ~np.isnan(slope), seconds, np.nan)
