"""What a real VictoriaMetrics refuses, silently drops, or cannot take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.metrics import REGISTRY
from core.settings import Settings
from core.timeseries.fields import Kind
from core.timeseries.opening import open_store
from core.timeseries.served import ServedStore
from core.timeseries.store import Level, StoreDenied, StoreUnavailable
from core.timeseries.victoria.engine import Place, Victoria
from tests.contract.timeseries import T0, frame
from tests.support import real, stores
from tests.support.proxy import proxy
from tests.support.stores import Running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with stores.victoria(tmp_path_factory.mktemp("victoria")) as running:
        yield running


@pytest.mark.parametrize("path", ["/wrong", "/insert/0"])
def test_a_wrong_path_refuses_the_start(server: Running, path: str) -> None:
    with pytest.raises(StoreDenied, match=r"metrics.*unsupported path|no VictoriaMetrics"):
        Victoria(Place(server.url + path, server.url))


def test_a_wrong_path_to_read_from_refuses_the_start(server: Running) -> None:
    with pytest.raises(StoreDenied, match="unsupported path"):
        Victoria(Place(server.url, f"{server.url}/select/0"))


def test_a_server_that_is_no_victoriametrics_refuses_the_start(tmp_path: Path) -> None:
    with stores.influx(tmp_path) as other, pytest.raises(StoreDenied, match="no VictoriaMetrics"):
        open_store(Settings(store=f"victoria+{other.url}"), tmp_path, SystemClock())


def test_nobody_there_refuses_the_start(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="refused"):
        open_store(Settings(store=f"victoria+http://127.0.0.1:{real.free_port()}"), tmp_path, SystemClock())


def test_a_password_is_sent_and_a_wrong_one_refuses_the_start(tmp_path: Path) -> None:
    flags = ("-httpAuth.username=starvc", "-httpAuth.password=secret")
    with stores.victoria(tmp_path, *flags) as guarded:
        store = open_store(
            Settings(store=f"victoria+{guarded.url}", store_token="starvc:secret"),
            tmp_path,
            SystemClock(),
        )
        store.write([frame(Kind.VM, [("a", T0, 1.0)])])
        assert len(store.read(Kind.VM, T0, T0 + 1)) == 1
        store.close()
        with pytest.raises(StoreDenied, match="401"):
            open_store(
                Settings(store=f"victoria+{guarded.url}", store_token="starvc:wrong"),
                tmp_path,
                SystemClock(),
            )


def test_a_retention_that_is_too_short_is_told_of(tmp_path: Path) -> None:
    day = 86_400
    wanted = {Level.RAW: day, Level.HOUR: 40 * day, Level.DAY: 0}
    with stores.victoria(tmp_path, "-retentionPeriod=30d") as short:
        Victoria(Place(short.url, short.url, retention=wanted)).close()
    assert [missing(level) for level in wanted] == [0.0, 10.0 * day, float("inf")]


def missing(level: Level) -> float | None:
    labels = {"store": "victoriametrics", "level": level}
    return REGISTRY.get_sample_value("starvc_store_retention_missing_seconds", labels)


def test_of_several_nodes_the_one_that_keeps_least_is_told_of(server: Running, tmp_path: Path) -> None:
    with stores.victoria(tmp_path, "-retentionPeriod=30d") as short:
        for nodes in ((short.url, server.url), (server.url, short.url)):
            Victoria(Place(server.url, server.url, nodes=nodes, retention={Level.HOUR: 40 * 86_400})).close()
            assert missing(Level.HOUR) == 10 * 86_400


def test_a_server_without_room_on_its_disk_is_away_and_no_sample_is_given_up(tmp_path: Path) -> None:
    with stores.victoria(tmp_path, "-storage.minFreeDiskSpaceBytes=1000000000000000") as full:
        store = ServedStore(Victoria(Place(full.url, full.url), pause=lambda _: None))
        with pytest.raises(StoreUnavailable, match=r"503.*read-only") as refused:
            store.write([frame(Kind.VM, [("a", T0, 1.0)])])
        assert not isinstance(refused.value, StoreDenied)


def test_a_busy_server_is_asked_again_after_the_time_it_says(server: Running) -> None:
    waited: list[float] = []
    with proxy(server.url, "/influx/write") as front:
        store = ServedStore(Victoria(Place(front.url, front.url, server.name()), pause=waited.append))
        front.answers = [(429, {"Retry-After": "3"}), (503, {})]
        store.write([frame(Kind.VM, [("a", T0, 1.0)])])
        assert waited == [3.0, 0.4]
        assert len(store.read(Kind.VM, T0, T0 + 1)) == 1
        store.close()
