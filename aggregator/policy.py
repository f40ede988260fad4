"""The declared resolutions. They stand in the core, because `cloudmonitor` histories show the same windows."""

from core.timeseries.policy import HOUR, LINES, LONGEST_DAY, MINUTE, Policy, Resolution, declared

__all__ = ["HOUR", "LINES", "LONGEST_DAY", "MINUTE", "Policy", "Resolution", "declared"]
