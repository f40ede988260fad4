"""InfluxDB keeps the contract, and its own promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from core.timeseries.influx.engine import Influx, Place
from core.timeseries.served import ServedStore
from tests.contract.timeseries import Opened, ServedContract
from tests.support import stores
from tests.support.stores import Running

_IMPORTS = "from core.timeseries.served import ServedStore\nfrom core.timeseries.influx.engine import Influx, Place"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with stores.influx(tmp_path_factory.mktemp("influx")) as running:
        yield running


@pytest.fixture
def place(server: Running) -> Place:
    return Place(server.url, stores.ORG, stores.influx_token(), prefix=server.name())


class TestInflux(ServedContract):
    @pytest.fixture
    def opened(self, server: Running, place: Place) -> Opened:
        there = f"Place({place.url!r}, {place.org!r}, {place.token!r}, {place.prefix!r})"
        return Opened(lambda: ServedStore(Influx(place)), _IMPORTS, f"ServedStore(Influx({there}))")

    @pytest.fixture
    def crash(self, server: Running) -> Callable[[], None]:
        return server.crash
