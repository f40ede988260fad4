"""The few shapes that our panels have: a title, a unit, PromQL on the chosen data source, a place on the grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
FULL, HALF, THIRD, QUARTER = 24, 12, 8, 6
PERCENT, BYTES, RATE, PER_SECOND, SECONDS, COUNT = "percent", "bytes", "Bps", "cps", "s", "short"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: `queries` are (PromQL, legend); `limits` colour values from orange and red on."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    meaning: str = ""
    shape: Literal["lines", "number", "bars", "table"] = "lines"
    width: int = HALF
    limits: tuple[float, float] | None = None
    top: float | None = None

    @property
    def height(self) -> int:
        return 4 if self.shape == "number" else 8


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard: rows of panels, and variables as (name, label, PromQL label query, may all be chosen)."""

    uid: str
    title: str
    meaning: str
    rows: Sequence[tuple[str, Sequence[Panel]]]
    variables: Sequence[tuple[str, str, str, bool]] = field(default_factory=tuple)


_Built = timeseries.Panel | stat.Panel | bargauge.Panel | table.Panel


def build(board: Board) -> dashboard.Dashboard:
    """The SDK's builder of `board`; its JSON is the same every time."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.meaning)
        .tags(["starvc"])
        .refresh("10s")
        .time("now-1h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .timezone("browser")
        .link(
            dashboard.DashboardLink("starvc")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["starvc"])
            .as_dropdown(True)
            .keep_time(True)
            .include_vars(True)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for name, label, query, several in board.variables:
        made = made.with_variable(
            dashboard.QueryVariable(name)
            .label(label)
            .query(query)
            .datasource(DATASOURCE)
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(several)
            .include_all(several)
        )
    for title, panels in board.rows:
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(_panel(panel))
    return made


def _panel(panel: Panel) -> _Built:
    match panel.shape:
        case "number":
            shaped: _Built = stat.Panel().graph_mode(BigValueGraphMode.AREA)
        case "bars":
            shaped = bargauge.Panel()
        case "table":
            shaped = table.Panel()
        case _:
            shaped = (
                timeseries.Panel()
                .fill_opacity(8)
                .line_width(1)
                .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
                .legend(
                    common.VizLegendOptions()
                    .display_mode(LegendDisplayMode.LIST)
                    .placement(LegendPlacement.BOTTOM)
                    .show_legend(True)
                )
            )
    return _queries(_look(shaped, panel), panel)


def _look(shaped: _Built, panel: Panel) -> _Built:
    shaped = shaped.title(panel.title).unit(panel.unit).description(panel.meaning).datasource(DATASOURCE)
    shaped = shaped.span(panel.width).height(panel.height)
    if panel.top is not None:
        shaped = shaped.min(0).max(panel.top)
    if panel.limits is not None:
        orange, red = panel.limits
        steps = [Threshold(None, "green"), Threshold(orange, "orange"), Threshold(red, "red")]
        shaped = shaped.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    return shaped


def _queries(shaped: _Built, panel: Panel) -> _Built:
    for letter, (promql, legend) in zip("ABCDEFGH", panel.queries, strict=False):
        query = prometheus.Dataquery().expr(promql).legend_format(legend).ref_id(letter)
        query = query.instant() if panel.shape in {"bars", "table"} else query.range()
        shaped = shaped.with_target(query.format(PromQueryFormat.TABLE) if panel.shape == "table" else query)
    return shaped
