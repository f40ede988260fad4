"""The recent ring keeps the contract, and answers from memory alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.timeseries.embedded import EmbeddedStore
from core.timeseries.recent import RecentStore
from tests.contract.timeseries import Opened, TimeSeriesContract


class TestRecent(TimeSeriesContract):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Opened:
        imports = "from pathlib import Path\nfrom core.timeseries.embedded import EmbeddedStore"
        reader = f"EmbeddedStore.reader(Path({str(tmp_path)!r}))"
        return Opened(lambda: RecentStore(EmbeddedStore(tmp_path), seconds=120), imports, reader)
