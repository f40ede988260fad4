"""The embedded store keeps the contract, and its own promises about files."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.timeseries.embedded import EmbeddedStore
from tests.contract.timeseries import Opened, TimeSeriesContract


class TestEmbedded(TimeSeriesContract):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Opened:
        imports = "from pathlib import Path\nfrom core.timeseries.embedded import EmbeddedStore"
        return Opened(lambda: EmbeddedStore(tmp_path), imports, f"EmbeddedStore.reader(Path({str(tmp_path)!r}))")
