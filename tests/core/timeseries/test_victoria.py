"""VictoriaMetrics keeps the contract; two of them may share the levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from core.clock import SystemClock
from core.settings import Settings
from core.timeseries.fields import Kind
from core.timeseries.opening import open_store
from core.timeseries.served import ServedStore
from core.timeseries.store import Level, StoreUnavailable
from core.timeseries.victoria.engine import Place, Victoria
from tests.contract.timeseries import T0, Opened, ServedContract, assert_same_lines, frame, lines, rows
from tests.support import stores
from tests.support.stores import Running

_IMPORTS = "from core.timeseries.served import ServedStore\nfrom core.timeseries.victoria.engine import Place, Victoria"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with stores.victoria(tmp_path_factory.mktemp("victoria")) as running:
        yield running


@pytest.fixture
def place(server: Running) -> Place:
    return Place(server.url, server.url, prefix=server.name())


class TestVictoria(ServedContract):
    @pytest.fixture
    def opened(self, server: Running, place: Place) -> Opened:
        return Opened(lambda: ServedStore(Victoria(place)), _IMPORTS, f"ServedStore(Victoria({place!r}))")

    @pytest.fixture
    def crash(self, server: Running) -> Callable[[], None]:
        return server.crash


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with stores.victoria(tmp_path_factory.mktemp("second")) as running:
        yield running


@pytest.fixture
def shared(server: Running, second: Running) -> Settings:
    return Settings(store=f"victoria+{server.url}?prefix={server.name()}&long={second.url}")


def names(server: Running, prefix: str) -> set[str]:
    """Of all series that it has of an installation."""
    listed = httpx.get(f"{server.url}/api/v1/label/__name__/values").json()["data"]
    return {name.removeprefix(f"{prefix}_") for name in listed if name.startswith(prefix)}


def test_what_is_kept_for_years_stands_on_a_server_of_its_own(
    server: Running, second: Running, shared: Settings
) -> None:
    prefix = shared.store.partition("prefix=")[2].partition("&")[0]
    levels = (Level.MINUTE, Level.HOUR, Level.DAY)
    final, unfinished = lines(Kind.VM, T0, {"a": 1.0}), lines(Kind.VM, T0 + 3600, {"a": 2.0, "b": 3.0}, final=False)
    with closing(open_store(shared, Path(), SystemClock())) as store:
        store.write([frame(Kind.VM, [("a", T0, 1.0)])])
        for level in levels:
            store.write_lines(level, [final, unfinished])
        store.set_mark("cursor", 7.0)
    with closing(open_store(shared, Path(), SystemClock())) as store:
        assert rows(store.read(Kind.VM, T0, T0 + 1)) == [("a", T0, 1.0)]
        assert rows(store.latest(Kind.VM, T0)) == [("a", T0, 1.0)]
        assert store.mark("cursor") == 7.0
        for level in levels:
            found = store.read_lines(level, Kind.VM, T0, T0 + 7200)
            for one, wanted in zip(found, (final, unfinished), strict=True):
                assert_same_lines(one, wanted)
        store.write_lines(Level.DAY, [lines(Kind.VM, T0 + 3600, {"a": 5.0})])
        assert_same_lines(
            store.read_lines(Level.DAY, Kind.VM, T0 + 3600, T0 + 7200)[0], lines(Kind.VM, T0 + 3600, {"a": 5.0})
        )
        assert store.prune(Level.DAY, T0 + 60) == 1
        assert len(store.read_lines(Level.DAY, Kind.VM, T0, T0 + 7200)) == 1
    here, there = names(server, prefix), names(second, prefix)
    assert {name.split("_")[0] for name in here} == {"raw", "minute"}
    assert {name.split("_")[0] for name in there} == {"hour", "day"}


def test_neither_server_is_done_without(server: Running, second: Running) -> None:
    nowhere = "http://127.0.0.1:9"
    for first, long in ((server.url, nowhere), (nowhere, second.url)):
        with pytest.raises(StoreUnavailable):
            open_store(Settings(store=f"victoria+{first}?long={long}"), Path(), SystemClock())
