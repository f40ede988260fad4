"""Grafana dashboards as code: `python -m dashboards` writes `dashboards/generated/`, and a test keeps that current."""
