"""The time-series store on VictoriaMetrics, single node or cluster. See `engine`."""

from core.timeseries.victoria.engine import Victoria

__all__ = ["Victoria"]
