"""Every double to the last bit on a server that keeps decimals. Pure.

VictoriaMetrics stores the values of a block as 64-bit integers times one power of ten: about 12 digits of a fraction
survive, fewer beside a value of another size. What always survives is an integer below 2^53, and a number with four
decimals below 2^33. So a double is split:

* the *shown* part, rounded to four decimals (above 2^33: to an integer, at most 2^53), under the field's own name, for
  dashboards and for us;
* the rest as the distance of the two doubles in units of the last place: `<field>_ulps`, and what does not fit into 52
  bits of it in `<field>_ulps_high`. Nothing when the shown part is the value, as it is for what exporters round.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from core.timeseries.store import Floats

LOW: Final = "_ulps"
HIGH: Final = "_ulps_high"
_DECIMALS: Final = 4
_FRACTIONS_BELOW: Final = 2.0**33
_INTEGERS_UP_TO: Final = 2.0**53
_BITS: Final = 52


def shown(values: Floats) -> Floats:
    """What the server can keep of the values; of its own result the same. NaN stays NaN."""
    whole = np.clip(np.rint(values), -_INTEGERS_UP_TO, _INTEGERS_UP_TO)
    fractions = np.round(np.where(np.abs(values) < _FRACTIONS_BELOW, values, 0.0), _DECIMALS)
    return np.where(np.abs(values) < _FRACTIONS_BELOW, fractions, whole) + 0.0


def split(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Shown part, low and high distance; NaN for a distance of nothing."""
    near = shown(values)
    apart = ~np.isnan(values) & (values != near)
    distance = np.where(apart, values.view(np.int64) - near.view(np.int64), 0)
    size, sign = np.abs(distance), np.sign(distance)
    low = (sign * (size & ((1 << _BITS) - 1))).astype(np.float64)
    high = (sign * (size >> _BITS)).astype(np.float64)
    return near, np.where(low == 0, np.nan, low), np.where(high == 0, np.nan, high)


def joined(near: Floats, low: Floats, high: Floats) -> Floats:
    """The values, from what the server returned of the three parts."""
    distance = np.nan_to_num(low).astype(np.int64) + (np.nan_to_num(high).astype(np.int64) << _BITS)
    exact = (shown(near).view(np.int64) + distance).view(np.float64)
    return np.where(np.isnan(near), np.nan, exact)
