"""The embedded time-series store: SQLite files of compressed columns. See `store` for the whole."""

from core.timeseries.embedded.store import EmbeddedStore

__all__ = ["EmbeddedStore"]
