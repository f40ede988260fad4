"""The time-series store on InfluxDB 2. See `engine`."""

from core.timeseries.influx.engine import Influx

__all__ = ["Influx"]
