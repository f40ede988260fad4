"""Running products for stories: one that nobody breaks, and one for faults and alarms. Each is started once per test
process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.product import Product, measured


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A healthy product that measures everything once a second. Tests leave it as they found it."""
    with Product(tmp_path_factory.mktemp("product")) as running:
        measured(running)
        yield running
