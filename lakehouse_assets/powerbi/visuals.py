"""Maps each kind of visual to a Power BI visual and its fields to roles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Takes = Literal["column", "measure", "number"]


class Role(NamedTuple):
    """The fields that a role of a Power BI visual takes.

    Attributes:
        takes: `column`, `measure`, or `number`: a column's average.
        least: Fewest fields.
        most: Most fields.
    """

    takes: Takes
    least: int
    most: int


def _categories(least: int, most: int, measures: int) -> dict[str, Role]:
    return {
        "Category": Role("column", least, most),
        "Y": Role("measure", 1, measures),
        "Series": Role("column", 0, 1),
    }


# Roles of Power BI's visuals: the published schemas do not check them.
FIELD_ROLES: Mapping[str, Mapping[str, Role]] = {
    "cardVisual": {"Data": Role("measure", 1, 8)},
    "clusteredBarChart": _categories(1, 8, 8),
    "clusteredColumnChart": _categories(1, 8, 8),
    "barChart": _categories(1, 8, 8),
    "columnChart": _categories(1, 8, 8),
    "lineChart": _categories(1, 8, 8),
    "areaChart": _categories(1, 8, 8),
    "donutChart": {"Category": Role("column", 1, 8), "Y": Role("measure", 1, 1)},
    "treemap": {"Group": Role("column", 1, 8), "Values": Role("measure", 1, 1)},
    "tableEx": {"Values": Role("column", 0, 16), "Measures": Role("measure", 0, 16)},
    "pivotTable": {
        "Rows": Role("column", 1, 8),
        "Columns": Role("column", 0, 8),
        "Values": Role("measure", 1, 8),
    },
    "scatterChart": {
        "Category": Role("column", 1, 1),
        "X": Role("measure", 1, 1),
        "Y": Role("measure", 1, 1),
        "Size": Role("measure", 0, 1),
        "Series": Role("column", 0, 1),
    },
    "decompositionTreeVisual": {
        "Analyze": Role("measure", 1, 1),
        "ExplainBy": Role("column", 1, 24),
    },
    "keyDriversVisual": {"Target": Role("column", 1, 1), "ExplainBy": Role("column", 1, 24)},
    "azureMap": {
        "Category": Role("column", 1, 1),
        "Y": Role("number", 1, 1),
        "X": Role("number", 1, 1),
        "Size": Role("measure", 0, 1),
    },
    "slicer": {"Values": Role("column", 1, 1)},
}  # fmt: skip
# Roles that are one in Power BI.
MERGED = {"Measures": "Values"}


class Shown(NamedTuple):
    """The Power BI visual for a kind of visual.

    Attributes:
        visual: The Power BI visual.
        dimensions: Roles of the dimensions in order; the last one takes the rest.
        measures: Roles of the measures, likewise.
        target: Role of the dimension that is explained.
    """

    visual: str
    dimensions: tuple[str, ...]
    measures: tuple[str, ...]
    target: str | None = None


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
    "table": Shown("tableEx", ("Values",), ("Measures",)),
    "matrix": Shown("pivotTable", ("Rows", "Columns"), ("Values",)),
    "scatter": Shown("scatterChart", ("Category",), ("X", "Y", "Size")),
    # A word cloud needs a custom visual.
    "word_cloud": Shown("treemap", ("Group",), ("Values",)),
    "decomposition_tree": Shown("decompositionTreeVisual", ("ExplainBy",), ("Analyze",)),
    "key_influencers": Shown("keyDriversVisual", ("ExplainBy",), (), "Target"),
    # The second tab of the same visual.
    "top_segments": Shown("keyDriversVisual", ("ExplainBy",), (), "Target"),
    "forecast_band": Shown("lineChart", *_CHART),
    "map": Shown("azureMap", ("Category", "Y", "X"), ("Size",)),
    "lineage": Shown("tableEx", ("Values",), ("Measures",)),
}
