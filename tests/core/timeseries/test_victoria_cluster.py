"""The cluster of VictoriaMetrics keeps the contract too, in the form that the setting has for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.settings import Settings
from core.timeseries.fields import Kind
from core.timeseries.opening import open_store
from core.timeseries.served import ServedStore
from core.timeseries.store import StoreUnavailable, TimeSeriesStore
from core.timeseries.victoria.engine import Place, Victoria
from tests.contract.timeseries import T0, Opened, ServedContract, frame, rows
from tests.support import stores
from tests.support.stores import Cluster, Running

_IMPORTS = (
    "from pathlib import Path\nfrom core.clock import SystemClock\nfrom core.settings import Settings\n"
    "from core.timeseries.opening import open_store"
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with stores.cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


class TestCluster(ServedContract):
    @pytest.fixture
    def opened(self, cluster: Cluster) -> Opened:
        nodes = ",".join(cluster.nodes)
        setting = f"victoria+{cluster.insert}?read={cluster.select}&nodes={nodes}&prefix={Running.name()}"

        def opened() -> TimeSeriesStore:
            return open_store(Settings(store=setting), Path(), SystemClock())

        return Opened(opened, _IMPORTS, f"open_store(Settings(store={setting!r}), Path(), SystemClock())")

    @pytest.fixture
    def crash(self, cluster: Cluster) -> Callable[[], None]:
        return cluster.crash


class Halting:
    """Waits for the store, and halts vminsert as soon as it has answered the first write; at the wait numbered `until`
    it goes on."""

    def __init__(self, cluster: Cluster, until: int) -> None:
        self._cluster = cluster
        self._until = until
        self.waits = 0

    def __call__(self, seconds: float) -> None:
        self.waits += 1
        if self.waits == 1:
            self._cluster.inserting.halt()
        if self.waits == self._until:
            self._cluster.inserting.resume()
        time.sleep(seconds)


@pytest.mark.parametrize("objects", [1, 1000])
def test_a_write_that_is_passed_on_late_is_acknowledged_when_it_can_be_read(cluster: Cluster, objects: int) -> None:
    pause = Halting(cluster, until=12)
    place = Place(cluster.insert, cluster.select, Running.name(), nodes=cluster.nodes, settle=0.2)
    samples = [(f"vm-{number:04d}", T0, float(number)) for number in range(objects)]
    store = ServedStore(Victoria(place, pause=pause))
    store.write([frame(Kind.VM, samples)])
    assert pause.waits > 12
    assert rows(store.read(Kind.VM, T0, T0 + 1)) == samples
    store.close()


def test_a_write_that_is_not_passed_on_is_not_acknowledged(cluster: Cluster) -> None:
    pause = Halting(cluster, until=1000)
    place = Place(cluster.insert, cluster.select, Running.name(), nodes=cluster.nodes, settle=0.2)
    store = ServedStore(Victoria(place, pause=lambda _: pause(0.0)))
    try:
        with pytest.raises(StoreUnavailable, match="cannot be read"):
            store.write([frame(Kind.VM, [("a", T0, 1.0)])])
    finally:
        cluster.inserting.resume()
    store.write([frame(Kind.VM, [("a", T0, 1.0)])])
    assert rows(store.read(Kind.VM, T0, T0 + 1)) == [("a", T0, 1.0)]
    store.close()
