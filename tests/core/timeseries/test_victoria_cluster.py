"""The cluster of VictoriaMetrics keeps the contract too, in the form that the setting has for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.settings import Settings
from core.timeseries.opening import open_store
from core.timeseries.store import TimeSeriesStore
from tests.contract.timeseries import Opened, ServedContract
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
