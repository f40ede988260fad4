"""What a scrape costs: fetch, parse and rates per page; and a cloud of 500 hosts and 10,000 VMs on its real
schedule."""

from __future__ import annotations

import asyncio
import gzip
import multiprocessing
import re
import resource
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector import metrics
from collector.families import WANTED
from collector.parse import Parser
from collector.rates import Moment
from collector.run import Collector
from collector.samples import Sampler
from collector.scrape import Fetcher
from collector.targets import InventorySource
from core.clock import SystemClock
from core.hosts.targets import Exporter, Target
from core.settings import Settings
from core.timeseries.embedded import EmbeddedStore
from core.timeseries.fields import Kind
from tests.support.real import answers, eventually, free_port

PAGES = Path(__file__).parent.parent / "pages"
HOSTS, VMS, INTERVAL, CYCLES = 500, 20, 10.0, 2.5


def recorded(exporter: Exporter) -> bytes:
    name = "node_exporter" if exporter is Exporter.NODE else "libvirt_exporter"
    return gzip.decompress((PAGES / f"{name}.prom.gz").read_bytes())


def few(page: bytes, vms: int) -> bytes:
    """The hypervisor's page with the first domains only."""
    kept = set(sorted(set(re.findall(rb'domain="([^"]+)"', page)))[:vms])
    return b"".join(
        line
        for line in page.splitlines(keepends=True)
        if not (m := re.search(rb'domain="([^"]+)"', line)) or m[1] in kept
    )


def serve(port: int, pages: dict[str, bytes]) -> None:
    packed = {name: gzip.compress(page, 1) for name, page in pages.items()}
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    answers_ = {name: head % len(body) + body for name, body in packed.items()}

    class Exporters(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(answers_["libvirt" if b"/libvirt" in data else "node"])

    async def run() -> None:
        await asyncio.get_running_loop().create_server(Exporters, "127.0.0.1", port, backlog=2000)
        await asyncio.Event().wait()

    asyncio.run(run())


@contextmanager
def exporters(pages: dict[str, bytes]) -> Iterator[str]:
    """All exporters of the cloud in one other process, with the same pages."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(port, pages), daemon=True)
    process.start()
    try:
        eventually(lambda: answers(f"http://127.0.0.1:{port}/node"))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.join()


def uuids(page: bytes) -> list[str]:
    return [found.decode() for found in sorted(set(re.findall(rb'uuid="([^"]+)"', page)))]


def cpu(work: Callable[[], object], times: int) -> float:
    """Milliseconds of this thread per call."""
    began = time.thread_time()
    for _ in range(times):
        work()
    return (time.thread_time() - began) / times * 1e3


@pytest.mark.benchmark
@pytest.mark.parametrize("exporter", Exporter)
def test_one_page(exporter: Exporter) -> None:
    body = recorded(exporter)
    target = Target("h/x", "h", exporter, "http://h/", {uuid: f"vm-{uuid}" for uuid in uuids(body)})
    parser, sampler = Parser(WANTED[exporter]), Sampler(target, 1000)
    moment = iter(range(10**6))

    def rate() -> object:
        now = float(next(moment))
        return sampler.sample(page, Moment(now, now))

    page = parser.parse(body)
    rate()

    async def fetch(base: str, times: int) -> tuple[float, bytes]:
        fetcher = Fetcher(f"{base}/{exporter}", 5.0, 1 << 24, ssl.create_default_context())
        got = await fetcher.fetch()
        began = time.thread_time()
        for _ in range(times):
            got = await fetcher.fetch()
        spent = (time.thread_time() - began) / times * 1e3
        await fetcher.close()
        return spent, got

    with exporters({str(one): recorded(one) for one in Exporter}) as base:
        fetched, got = asyncio.run(fetch(base, 200))
    parsed, rated = cpu(lambda: parser.parse(body), 300), cpu(rate, 300)
    print(f"\n{exporter}: {page.samples} samples; CPU ms a scrape: fetch {fetched:.2f}", end="")
    print(f", parse {parsed:.2f}, rates {rated:.2f}", end="")
    print(f"; {1000 / (fetched + parsed + rated):.0f} scrapes per CPU second")
    assert got == body


@pytest.mark.benchmark
def test_a_cloud_on_schedule(tmp_path: Path) -> None:
    pages = {"node": recorded(Exporter.NODE), "libvirt": few(recorded(Exporter.LIBVIRT), VMS)}
    names = uuids(pages["libvirt"])
    phases = {name: metrics.CPU_SECONDS.labels(name)._value for name in ("fetch", "parse", "rates", "write")}
    before = {name: value.get() for name, value in phases.items()}
    missed = [metrics.MISSED.labels(reason)._value for reason in ("late", "busy")]
    lost = sum(value.get() for value in missed)
    with exporters(pages) as base:
        targets = tuple(
            Target(
                f"h{n}/{e}",
                f"h{n}",
                e,
                f"{base}/{e}",
                {u: f"vm-{n}-{u}" for u in names} if e is Exporter.LIBVIRT else {},
            )
            for n in range(HOSTS)
            for e in Exporter
        )
        store = EmbeddedStore(tmp_path)
        collector = Collector(
            InventorySource(lambda: targets), store, SystemClock(), Settings(scrape_interval=INTERVAL)
        )
        began = time.monotonic()
        collector.start()
        time.sleep(INTERVAL * CYCLES)
        collector.stop()
        cycles = (time.monotonic() - began) / INTERVAL
    scraped = store.read(Kind.TARGET, 0, 1e12)
    vms = set(store.latest(Kind.VM, 0).objects)
    store.close()
    spent = {name: (value.get() - before[name]) / cycles for name, value in phases.items()}
    print(f"\n{HOSTS} hosts, {len(vms)} VMs, {len(targets)} pages each {INTERVAL:g} s: CPU seconds a cycle: ", end="")
    print(", ".join(f"{name} {seconds:.2f}" for name, seconds in spent.items()), end="")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    late = sorted(scraped.values[:, 2].tolist())
    print(f"; sum {sum(spent.values()):.2f} = {sum(spent.values()) / INTERVAL:.0%} of a core", end="")
    print(f"; missed slots {sum(value.get() for value in missed) - lost:.0f}; peak memory {memory:.0f} MB", end="")
    print(f"; lateness p50 {late[len(late) // 2] * 1e3:.1f} ms, p99 {late[len(late) * 99 // 100] * 1e3:.1f} ms")
    assert len(vms) == HOSTS * VMS
    assert scraped.values[:, 0].min() == 1
