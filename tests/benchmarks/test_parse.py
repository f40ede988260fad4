"""Samples parsed per second and core on recorded pages, beside prometheus_client's parser in the same run."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector.families import WANTED
from collector.parse import Parser
from core.hosts.targets import Exporter

PAGES = Path(__file__).parent.parent / "pages"
RECORDED = {Exporter.NODE: "node_exporter", Exporter.LIBVIRT: "libvirt_exporter"}


def best(work: Callable[[], object], times: int) -> float:
    """CPU seconds of the fastest run."""
    found = float("inf")
    for _ in range(times):
        began = time.process_time_ns()
        work()
        found = min(found, (time.process_time_ns() - began) / 1e9)
    return found


@pytest.mark.benchmark
@pytest.mark.parametrize("exporter", Exporter)
def test_parsing_a_recorded_page(exporter: Exporter) -> None:
    body = gzip.decompress((PAGES / f"{RECORDED[exporter]}.prom.gz").read_bytes())
    text = body.decode()
    everything, wanted = Parser(), Parser(WANTED[exporter])
    samples = everything.parse(body).samples
    wanted.parse(body)
    shifted = [body, b"extra 1\n" + body]
    moving = Parser()
    stock = best(lambda: [sample for family in text_string_to_metric_families(text) for sample in family.samples], 5)
    print(f"\n{RECORDED[exporter]}: {samples} samples, {len(body)} bytes; samples per second and core")
    for name, seconds in {
        "same layout, all series": best(lambda: everything.parse(body), 400),
        "same layout, wanted series": best(lambda: wanted.parse(body), 400),
        "new layout, known series": best(lambda: moving.parse(shifted[0]) and moving.parse(shifted[1]), 50) / 2,
        "first sight": best(lambda: Parser().parse(body), 20),
        "prometheus_client": stock,
    }.items():
        print(f"  {name:28} {samples / seconds / 1e6:6.2f} M/s   {stock / seconds:6.1f} x prometheus_client")
    assert everything.parse(body).samples == samples
