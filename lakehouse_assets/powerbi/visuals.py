"""Maps each kind of visual to a Power BI visual and its fields to roles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Shown(NamedTuple):
    """The Power BI visual for a kind of visual.

    Attributes:
        visual: The Power BI visual.
        dimensions: Roles of the dimensions in order; the last one takes the rest.
        measures: Roles of the measures, likewise.
        target: Role of the dimension that is explained.
        numbers: Roles of dimensions that take a column's average.
    """

    visual: str
    dimensions: tuple[str, ...]
    measures: tuple[str, ...]
    target: str | None = None
    numbers: tuple[str, ...] = ()


_CHART = (("Category",), ("Y",))
SHOWN: Mapping[str, Shown] = {
    "card": Shown("cardVisual", (), ("Data",)),
    "bar": Shown("clusteredBarChart", *_CHART),
    "column": Shown("clusteredColumnChart", *_CHART),
    "stacked_bar": Shown("barChart", *_CHART),
    "stacked_column": Shown("columnChart", *_CHART),
    "line": Shown("lineChart", *_CHART),
    "area": Shown("areaChart", *_CHART),
    "donut": Shown("donutChart", *_CHART),
    "table": Shown("tableEx", ("Values",), ("Values",)),
    "matrix": Shown("pivotTable", ("Rows", "Columns"), ("Values",)),
    "scatter": Shown("scatterChart", ("Category",), ("X", "Y", "Size")),
    # A word cloud needs a custom visual.
    "word_cloud": Shown("treemap", ("Group",), ("Values",)),
    "decomposition_tree": Shown("decompositionTreeVisual", ("ExplainBy",), ("Analyze",)),
    "key_influencers": Shown("keyDriversVisual", ("ExplainBy",), (), "Target"),
    # The second tab of the same visual.
    "top_segments": Shown("keyDriversVisual", ("ExplainBy",), (), "Target"),
    "forecast_band": Shown("lineChart", *_CHART),
    "map": Shown("azureMap", ("Category", "Y", "X"), ("Size",), numbers=("Y", "X")),
    "lineage": Shown("tableEx", ("Values",), ("Values",)),
}
