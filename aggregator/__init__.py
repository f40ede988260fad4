"""Aggregators: samples become lines, lines and host states become alarms."""
