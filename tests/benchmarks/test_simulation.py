from __future__ import annotations

import time

import pytest

from core.drivers.simulated import datacentre
from core.drivers.simulated.datacentre import EPOCH
from core.drivers.simulated.fleet import Fleet
from core.drivers.simulated.pages import Pages

HOSTS, VMS, INTERVAL = 500, 10_000, 10.0


@pytest.mark.benchmark
def test_rendering_a_round_of_all_pages() -> None:
    began = time.perf_counter()
    pages = Pages(Fleet(datacentre.build(1, HOSTS, VMS)))
    built = time.perf_counter() - began
    figures = [_round(pages, number) for number in range(4)]
    first, *warm = figures
    best = min(seconds for seconds, _, _ in warm)
    print(f"\n{HOSTS} hosts, {VMS} VMs: built in {built:.2f} s, first round {first[0] * 1e3:.0f} ms")
    print(f"a round of {first[1]:,} samples, {first[2] / 1e6:.0f} MB: {best * 1e3:.0f} ms"
          f" = {best / INTERVAL:.3f} cores at {INTERVAL:.0f} s")  # fmt: skip
    assert len({lines for _, lines, _ in figures}) == 1


def _round(pages: Pages, number: int) -> tuple[float, int, int]:
    """Seconds, samples, bytes; each host at its own instant."""
    began, rendered = time.perf_counter(), []
    for host in range(HOSTS):
        at = EPOCH + 600 * 86_400 + number * INTERVAL + host * INTERVAL / HOSTS
        rendered += [pages.host_page(host, at), pages.vm_page(host, at)]
    seconds = time.perf_counter() - began
    lines = sum(page.count(b"\n") - page.count(b"\n#") - 1 for page in rendered)
    return seconds, lines, sum(map(len, rendered))
