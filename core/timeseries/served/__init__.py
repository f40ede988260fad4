"""Time-series stores that are servers: what InfluxDB and VictoriaMetrics have in common. See `store` for the whole."""

from core.timeseries.served.store import ServedStore

__all__ = ["ServedStore"]
