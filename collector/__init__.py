"""Collectors: exporter pages become samples in the time-series store."""
