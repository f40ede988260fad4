"""Rounds of scrapes on a virtual clock, from exporters on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from collector import metrics
from collector.failure import Failure
from collector.rounds import IDLE, WELCOME, Rounds
from collector.spool import Batch
from collector.watched import Limits
from core.clock import VirtualClock
from core.hosts.targets import Exporter, Target
from core.timeseries.fields import COLUMN, Kind

LIMITS = Limits(interval=10, timeout=0.5, body=1 << 20, series=1000, behind=3600)
START = datetime(2026, 1, 1, tzinfo=UTC)


class House:
    """Exporters on one loopback server: the path names the host, `pages` what it answers; None hangs."""

    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        self.rounds = Rounds(LIMITS, self.clock, seed=1, concurrency=2)
        self.pages: dict[str, bytes | None] = {}
        self.port = 0

    def target(self, host: str, exporter: Exporter = Exporter.NODE, **vms: str) -> Target:
        return Target(f"{host}/{exporter}", host, exporter, f"http://127.0.0.1:{self.port}/{host}", vms)

    async def round(self, seconds: float = 10) -> Batch:
        """Lets `seconds` pass at once, and waits for the scrapes that are then due."""
        await self.due(seconds)
        await asyncio.gather(*self.rounds._running)
        return self.rounds.collected()

    async def due(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.rounds.advance()
        await self.rounds.begin()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                page = self.pages[request.split()[1].decode().strip("/")]
                if page is None:
                    await reader.read()
                    return
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(page) + page)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    built = House()
    server = await asyncio.start_server(built.serve, "127.0.0.1", 0)
    built.port = server.sockets[0].getsockname()[1]
    try:
        yield built
    finally:
        await built.rounds.close()
        server.close()


def in_house(test: Callable[[House], Awaitable[None]]) -> Callable[[], None]:
    async def run() -> None:
        async with house() as built:
            await test(built)

    def wrapped() -> None:
        asyncio.run(run())

    return wrapped


def values(batch: Batch, kind: Kind, name: str, field: str) -> list[float]:
    return [
        row[COLUMN[kind][field]]
        for frame in batch
        if frame.kind is kind
        for one, row in zip(frame.objects, frame.values.tolist(), strict=True)
        if one == name
    ]


def missed(reason: str) -> float:
    return metrics.MISSED.labels(reason)._value.get()


def node(busy: float, idle: float) -> bytes:
    modes = {"user": busy, "idle": idle}
    return "".join(
        f'node_cpu_seconds_total{{cpu="0",mode="{mode}"}} {value}\n' for mode, value in modes.items()
    ).encode()


@in_house
async def test_many_new_targets_are_taken_up_one_after_the_other_and_miss_nothing(built: House) -> None:
    hosts = [f"h-{number}" for number in range(int(3 * LIMITS.interval * WELCOME))]
    late = missed("late")
    await built.rounds.adopt([built.target(host) for host in hosts])
    built.clock.advance(LIMITS.interval)
    built.rounds.advance()
    first = len(built.rounds._due)
    assert 0 < first < len(hosts) / 2
    built.clock.advance(0.9 * LIMITS.interval)
    built.rounds.advance()
    assert len({slot.target for slot in built.rounds._due}) > first
    assert missed("late") == late


@in_house
async def test_a_failed_scrape_is_a_sample_and_hurts_nobody_else(built: House) -> None:
    built.pages = {"good": node(0, 0), "bad": b"garbage{\n", "dead": None}
    await built.rounds.adopt([built.target(name) for name in built.pages])
    built.rounds.collected()
    first = await built.round()
    built.pages["good"] = node(2, 8)
    second = await built.round()
    assert values(first + second, Kind.TARGET, "good/node", "up") == [1, 1]
    assert values(second, Kind.TARGET, "good/node", "samples") == [2]
    assert values(second, Kind.HOST, "good", "cpu_rate") == [pytest.approx(20)]
    assert values(second, Kind.TARGET, "bad/node", "failure") == [Failure.PARSE]
    assert values(second, Kind.TARGET, "dead/node", "failure") == [Failure.TIMEOUT]
    assert values(second, Kind.TARGET, "dead/node", "up") == [0]
    assert values(second, Kind.HOST, "dead", "cpu_rate") == []


@in_house
async def test_a_late_loop_counts_what_it_skipped(built: House) -> None:
    built.pages = {"a": node(0, 0)}
    await built.rounds.adopt([built.target("a")])
    await built.round()
    before = missed("late")
    batch = await built.round(40)
    assert missed("late") - before == 3
    assert len(values(batch, Kind.TARGET, "a/node", "up")) == 1


@in_house
async def test_a_scrape_that_outlasts_its_slot_is_not_made_twice(built: House) -> None:
    built.pages = {"a": None}
    await built.rounds.adopt([built.target("a")])
    before = missed("busy")
    await built.due(10)
    await built.due(10)
    assert missed("busy") - before == 1
    assert len(built.rounds._running) == 1


@in_house
async def test_a_reload_keeps_counters_and_slots_of_what_stays(built: House) -> None:
    built.pages = {"a": node(0, 0)}
    await built.rounds.adopt([built.target("a")])
    await built.round()
    slot = built.rounds._slots.next()
    assert await built.rounds.adopt([built.target("a"), built.target("b")])
    assert not await built.rounds.adopt([built.target("a"), built.target("b")])
    assert await built.rounds.adopt([built.target("a")])
    assert built.rounds._slots.next() == slot
    built.pages["a"] = node(5, 5)
    assert values(await built.round(), Kind.HOST, "a", "cpu_rate") == [50]


@in_house
async def test_a_vm_that_is_new_in_the_inventory_appears_and_the_others_keep_their_rates(built: House) -> None:
    def page(seconds: float) -> bytes:
        return b"".join(
            b'libvirt_domain_info_cpu_time_seconds_total{domain="d%d",uuid="u%d"} %f\n'
            b'libvirt_domain_info_virtual_cpus{domain="d%d",uuid="u%d"} 1\n' % (n, n, seconds, n, n)
            for n in (1, 2)
        )

    built.pages = {"h": page(0)}
    await built.rounds.adopt([built.target("h", Exporter.LIBVIRT, u1="vm-1")])
    assert values(await built.round(), Kind.VM, "vm-2", "cpu_num") == []
    await built.rounds.adopt([built.target("h", Exporter.LIBVIRT, u1="vm-1", u2="vm-2")])
    built.pages["h"] = page(3)
    batch = await built.round()
    assert values(batch, Kind.VM, "vm-1", "cpu_rate") == [30]
    assert values(batch, Kind.VM, "vm-2", "cpu_num") == [1]


@in_house
async def test_a_target_that_is_gone_leaves_no_sample_even_from_a_scrape_under_way(built: House) -> None:
    built.pages = {"a": None}
    await built.rounds.adopt([built.target("a")])
    await built.due(10)
    await built.rounds.adopt([])
    await asyncio.gather(*built.rounds._running)
    assert built.rounds.collected() == ()
    assert built.rounds.advance() == IDLE


@in_house
async def test_values_that_the_exporter_dates_into_the_future_are_refused_and_counted(built: House) -> None:
    future = int((START.timestamp() + 100_000) * 1000)
    built.pages = {"a": b"node_memory_MemTotal_bytes 1048576 %d\nnode_memory_MemAvailable_bytes 1048576\n" % future}
    await built.rounds.adopt([built.target("a")])
    before = metrics.DROPPED.labels("future")._value.get()
    (size,) = values(await built.round(), Kind.HOST, "a", "mem_size")
    assert size != size  # NaN
    assert metrics.DROPPED.labels("future")._value.get() - before == 1


@in_house
async def test_a_wall_clock_that_is_set_makes_no_missed_slots_and_no_silence(built: House) -> None:
    built.pages = {"a": node(0, 0)}
    await built.rounds.adopt([built.target("a")])
    await built.round()
    for jump in (-86_400, 86_400 * 3):
        before = missed("late")
        built.clock.jump(jump)
        built.rounds.rebase()
        assert built.rounds.advance() <= LIMITS.interval
        assert len(values(await built.round(), Kind.TARGET, "a/node", "up")) == 1
        assert missed("late") == before


@in_house
async def test_samples_are_dated_by_their_slot(built: House) -> None:
    built.pages = {"a": node(0, 0)}
    await built.rounds.adopt([built.target("a")])
    wait = built.rounds.advance()
    (host, *_) = await built.round(wait + 0.03)
    slot = host.times[0]
    assert slot == pytest.approx(START.timestamp() + wait, abs=1e-3)
    (host, *_) = await built.round(10.2)
    assert host.times[0] == pytest.approx(slot + 10.23, abs=1e-3)
