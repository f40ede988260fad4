"""Recorded pages of real exporters."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from core.hosts.targets import Exporter, Target

PAGES = Path(__file__).parent.parent / "pages"


def page(name: str) -> bytes:
    return gzip.decompress((PAGES / f"{name}.prom.gz").read_bytes())


@pytest.fixture
def node_page() -> bytes:
    return page("node_exporter")


@pytest.fixture
def libvirt_page() -> bytes:
    return page("libvirt_exporter")


@pytest.fixture
def node() -> Target:
    return Target("host-1/node", "host-1", Exporter.NODE, "http://host-1:9100/metrics")


@pytest.fixture
def libvirt(libvirt_page: bytes) -> Target:
    """All 40 domains of the page are known, as `vm-<name of the domain>`."""
    pairs = set(re.findall(rb'domain="([^"]+)".*uuid="([^"]+)"', libvirt_page))
    vms = {uuid.decode(): f"vm-{domain.decode()}" for domain, uuid in pairs}
    return Target("host-1/libvirt", "host-1", Exporter.LIBVIRT, "http://host-1:9177/metrics", vms)
