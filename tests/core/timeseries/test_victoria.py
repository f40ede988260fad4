"""VictoriaMetrics keeps the contract, and its own promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from core.timeseries.served import ServedStore
from core.timeseries.victoria.engine import Place, Victoria
from tests.contract.timeseries import Opened, ServedContract
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
