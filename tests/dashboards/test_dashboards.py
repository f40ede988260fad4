"""The dashboards are current, and ask for nothing that we do not serve."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import prometheus_client
import pytest

import api.metrics
import api.up  # every part's metrics are declared once the composition is imported
from api.cloud_metrics import metric_name
from core.metrics import REGISTRY
from core.timeseries.fields import FIELDS
from dashboards.__main__ import GENERATED, render
from dashboards.boards import BOARDS
from dashboards.panels import Board

_ = (api.metrics, api.up)
_METRIC = re.compile(r"\bstarvc_\w+")


def _served() -> set[str]:
    own = {
        f"{family.name}{suffix}"
        for family in REGISTRY.collect()
        for suffix in ("", "_total", "_bucket", "_sum", "_count")
    }
    process = {metric.name for metric in prometheus_client.REGISTRY.collect()}
    return own | process | {metric_name(kind, field) for kind, fields in FIELDS.items() for field in fields}


def _queries(board: Board) -> Iterator[str]:
    for _, panels in board.rows:
        for panel in panels:
            yield from (promql for promql, _ in panel.queries)
    yield from (query for _, _, query, _ in board.variables)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_the_generated_file_is_current(board: Board) -> None:
    file: Path = GENERATED / f"{board.uid}.json"
    assert file.read_text(encoding="utf-8") == render(board), "run: python -m dashboards"


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_metric_asked_for_is_served(board: Board) -> None:
    asked = {name for query in _queries(board) for name in _METRIC.findall(query)}
    assert asked
    assert asked <= _served()


def test_titles_and_uids_are_unique_for_one_twin_stops_grafana_from_loading_any() -> None:
    assert len({board.uid for board in BOARDS}) == len({board.title for board in BOARDS}) == len(BOARDS)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_panel_has_a_unit_and_the_chosen_data_source(board: Board) -> None:
    document = json.loads(render(board))
    panels = [panel for row in document["panels"] for panel in (row.get("panels") or [row]) if panel["type"] != "row"]
    assert panels
    for panel in panels:
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"


def test_no_generated_file_is_left_over() -> None:
    assert {file.stem for file in GENERATED.glob("*.json")} == {board.uid for board in BOARDS}
