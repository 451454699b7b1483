"""Declares a page: which measures it shows by which dimensions, in which visuals.

The static pages and the Power BI report are made from the same declarations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from lakehouse_assets.catalog.registry import Column, Measure, Reference, Registry, Table
from lakehouse_assets.errors import LakehouseError, did_you_mean


@dataclass(frozen=True)
class Kind:
    """How many dimensions and measures a kind of visual takes.

    Attributes:
        dimensions: Smallest and largest number of dimensions.
        measures: Smallest and largest number of measures.
        series: Whether it may split its measure by a further dimension, shown by colour.
        target: Whether it explains a value of a dimension.
        selects: Whether a click on it selects values of its dimensions.
    """

    dimensions: tuple[int, int]
    measures: tuple[int, int]
    series: bool = False
    target: bool = False
    selects: bool = True


KINDS: Mapping[str, Kind] = {
    # One figure.
    "card": Kind((0, 0), (1, 1), selects=False),
    # Lengths by category, horizontal and vertical; several measures stand side by side.
    "bar": Kind((1, 6), (1, 4), series=True),
    "column": Kind((1, 6), (1, 4), series=True),
    "stacked_bar": Kind((1, 6), (1, 4), series=True),
    "stacked_column": Kind((1, 6), (1, 4), series=True),
    # Changes over time; the dimension is a date, a month or another ordered value.
    "line": Kind((1, 1), (1, 4), series=True),
    "area": Kind((1, 1), (1, 4), series=True),
    # Shares of a whole.
    "donut": Kind((1, 6), (1, 1)),
    # Rows of all combinations of the dimensions.
    "table": Kind((1, 12), (0, 12), selects=False),
    # The first dimension down, the second across.
    "matrix": Kind((2, 2), (1, 1)),
    # A point for each value of the dimension: x, y and the size of the point.
    "scatter": Kind((1, 1), (2, 3), series=True, selects=False),
    "word_cloud": Kind((1, 1), (1, 1)),
    "decomposition_tree": Kind((2, 8), (1, 1)),
    "key_influencers": Kind((1, 20), (0, 1), target=True, selects=False),
    "top_segments": Kind((1, 20), (0, 1), target=True, selects=False),
    # Low, expected and high value, and optionally the actual value.
    "forecast_band": Kind((1, 1), (3, 4), selects=False),
    # Place, latitude and longitude; the measure is the size of the circle.
    "map": Kind((3, 3), (1, 2)),
    # From and to.
    "lineage": Kind((2, 4), (0, 1), selects=False),
}


@dataclass(frozen=True)
class Source:
    """A table whose rows a page shows.

    Attributes:
        table: Name of a table of the registry, with the domain if it is not the page's.
        name: Name of the source on the page; the table's bare name by default.
        history: Whether every partition of a table that holds states is read instead of the latest
            one. Figures are then those of the latest state in the selection, unless a visual shows
            them by that partition.
        where: SQL condition on the table's columns.
        latest: A column of days and a number: the static page has only the rows of so many days up
            to the latest one, so that a browser can filter them. Power BI has all of them.
        dimensions: Dimensions by name that are not columns of the table: paths to columns of the
            tables that it references, such as `dim_date.year_month`. A path follows one reference
            after another. If several references lead to the same table, the step names the column,
            such as `first_day:dim_date.year_month`. A dimension may also rename a column.
    """

    table: str
    name: str = ""
    history: bool = False
    where: str | None = None
    latest: tuple[str, int] | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.table.rpartition(".")[2])

    def __hash__(self) -> int:
        return hash((self.table, self.name))


@dataclass(frozen=True)
class Slicer:
    """A control that filters a page by a dimension.

    Attributes:
        dimension: The dimension; it filters every source that has one of that name.
        kind: `list` to choose values, `range` to choose from one value to another.
    """

    dimension: str
    kind: Literal["list", "range"] = "list"


@dataclass(frozen=True)
class Visual:
    """A picture or a table of measures by dimensions.

    Attributes:
        kind: One of `KINDS`.
        title: Its title, unique on the page.
        source: Name of the source; the page's first one by default.
        measures: Measures of the source's table, by name.
        dimensions: Dimensions of the source, by name.
        series: Dimension that is shown by colour.
        drill: Whether the dimensions are levels, from coarse to fine, shown one at a time.
        target: Dimension and value that the visual explains.
        top: Maximum number of groups; the visual says how many are left out.
        sort: Order of the groups: by the first measure, largest first, or by the dimension.
        width: Columns of the page's grid of 12.
        height: Height of the picture.
        note: A sentence below the title.
        options: Further settings of the kind.
    """

    kind: str
    title: str
    source: str | None = None
    measures: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    series: str | None = None
    drill: bool = False
    target: tuple[str, str] | None = None
    top: int | None = None
    sort: Literal["measure", "dimension"] = "measure"
    width: int = 6
    height: Literal["small", "medium", "tall"] = "medium"
    note: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.kind, self.title))

    @property
    def named_dimensions(self) -> tuple[str, ...]:
        """Every dimension that the visual needs, each once."""
        target = self.target[:1] if self.target else ()
        return tuple(dict.fromkeys((*self.dimensions, *filter(None, [self.series]), *target)))


@dataclass(frozen=True)
class Page:
    """A page of visuals that filter each other.

    Attributes:
        name: Name of its file.
        title: Its title.
        domain: Domain whose tables it shows.
        description: What it is for, in a sentence.
        sources: The tables it reads.
        visuals: What it shows, in reading order.
        slicers: Controls that filter it.
        labels: Titles of dimensions, where they differ from their names.
    """

    name: str
    title: str
    domain: str
    description: str
    sources: tuple[Source, ...]
    visuals: tuple[Visual, ...]
    slicers: tuple[Slicer, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.name)

    def __post_init__(self) -> None:
        names = [source.name for source in self.sources]
        titles = [visual.title for visual in self.visuals]
        if len({*names}) != len(names) or len({*titles}) != len(titles) or not names:
            raise LakehouseError(
                f"Page {self.name} needs at least one source, and unique names of sources and "
                "titles of visuals."
            )
        for visual in self.visuals:
            self._check(visual)

    def _check(self, visual: Visual) -> None:
        what = f"Visual {visual.title!r} of page {self.name}"
        kind = KINDS.get(visual.kind)
        if kind is None:
            raise LakehouseError(
                f"{what} has the unknown kind {visual.kind!r}"
                f"{did_you_mean(visual.kind, KINDS) or '.'}"
            )
        for noun, found, (least, most) in (
            ("dimensions", visual.dimensions, kind.dimensions),
            ("measures", visual.measures, kind.measures),
        ):
            if not least <= len(found) <= most:
                raise LakehouseError(
                    f"{what} has {len(found)} {noun}; a {visual.kind} takes {least} to {most}."
                )
        if (visual.series and not kind.series) or (visual.target is None) == kind.target:
            raise LakehouseError(
                f"{what} sets a series or target that a {visual.kind} does not take; see `KINDS`."
            )
        if visual.series and len(visual.measures) > 1 and visual.kind != "scatter":
            raise LakehouseError(f"{what} has a series, so it can show only one measure.")
        if visual.source is not None:
            self.source(visual.source)
        if not 1 <= visual.width <= 12:
            raise LakehouseError(f"{what} is {visual.width} columns wide; choose from 1 to 12.")

    def source(self, name: str | None) -> Source:
        """Return a source by name; the first one for None."""
        if name is None:
            return self.sources[0]
        for source in self.sources:
            if source.name == name:
                return source
        known = ", ".join(source.name for source in self.sources)
        raise LakehouseError(f"Page {self.name} has no source {name!r}; it has {known}.")

    def visuals_of(self, source: Source) -> Iterator[Visual]:
        """Yield the visuals that show a source."""
        for visual in self.visuals:
            if self.source(visual.source) is source:
                yield visual

    @property
    def filters(self) -> tuple[str, ...]:
        """Dimensions that filter the page: those of slicers, and those that a click selects."""
        found = [slicer.dimension for slicer in self.slicers]
        for visual in self.visuals:
            found += visual.dimensions if KINDS[visual.kind].selects else ()
            found += filter(None, [visual.series])
        return tuple(dict.fromkeys(found))

    def label(self, dimension: str) -> str:
        """Return the title of a dimension."""
        return self.labels.get(dimension) or words(dimension)


def words(name: str) -> str:
    """Return a name as words: `customer_status` is `Customer status`."""
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


class Join(NamedTuple):
    """A step from a table to one that it references."""

    reference: Reference
    table: Table


class Path(NamedTuple):
    """A dimension's column, and how it is reached from the source's table."""

    joins: tuple[Join, ...]
    table: Table
    column: Column


def table_of(registry: Registry, page: Page, source: Source) -> Table:
    """Return the table of a source.

    Raises:
        LakehouseError: the registry has no such table.
    """
    if "." in source.table:
        return registry[source.table]
    try:
        return registry[f"{page.domain}.{source.table}"]
    except LakehouseError:
        return registry[source.table]


def has_dimension(registry: Registry, page: Page, source: Source, name: str) -> bool:
    """Whether a source has a dimension of that name.

    The latest state of a table has no dimension of its partitions, because a selection elsewhere
    does not change it.
    """
    table = table_of(registry, page, source)
    if table.partition and name == table.partition.column:
        return source.history or not table.holds_states
    return name in source.dimensions or name in table.column_names


def resolve(registry: Registry, page: Page, source: Source, name: str) -> Path:
    """Find the column of a dimension.

    Raises:
        LakehouseError: the source has no such dimension, or a path does not follow references.
    """
    table = table_of(registry, page, source)
    *steps, column = source.dimensions.get(name, name).split(".")
    joins = []
    for step in steps:
        through, _, target = step.rpartition(":")
        found = [
            reference
            for reference in table.references
            if registry.meant_by(table, reference.to_table).name == target
            and (not through or through in reference.columns)
        ]
        if len(found) != 1:
            raise LakehouseError(
                f"Dimension {name!r} of page {page.name}: {table.full_name} has {len(found)} "
                f"references to {target}; name a table that it references once, or write "
                "<column>:<table>."
            )
        joins.append(Join(found[0], registry.meant_by(table, found[0].to_table)))
        table = joins[-1].table
    if column not in table.column_names:
        known = (*source.dimensions, *table.column_names)
        raise LakehouseError(
            f"Dimension {name!r} of page {page.name}: {table.full_name} has no column {column}"
            f"{did_you_mean(column, known) or '.'}"
        )
    return Path(tuple(joins), table, table.column(column))


def dimensions_of(registry: Registry, page: Page, source: Source) -> dict[str, Path]:
    """Return the dimensions of a source that the page shows or filters by, with their columns."""
    named = [name for v in page.visuals_of(source) for name in v.named_dimensions]
    table = table_of(registry, page, source)
    shared = [name for name in page.filters if has_dimension(registry, page, source, name)]
    state = [table.partition.column] if table.partition and source.history else []
    return {
        name: resolve(registry, page, source, name)
        for name in dict.fromkeys((*named, *shared, *state))
    }


def tables_of(registry: Registry, page: Page, source: Source) -> list[Table]:
    """Return the stored tables that a source reads, its own first; a view's are what it reads."""
    paths = dimensions_of(registry, page, source).values()
    joined = [join.table for path in paths for join in path.joins]
    own = table_of(registry, page, source)
    of_views = {view.table: view.reads.values() for view in registry.views}
    return list(dict.fromkeys([*of_views.get(own, [own]), *joined]))


def measure_of(registry: Registry, page: Page, source: Source, name: str) -> Measure:
    """Find a measure of a source's table.

    Raises:
        LakehouseError: the table declares none of that name.
    """
    table = table_of(registry, page, source)
    for measure in table.measures:
        if measure.name == name:
            return measure
    known = ", ".join(measure.name for measure in table.measures) or "none"
    raise LakehouseError(
        f"Page {page.name} shows {name!r}, which is not a measure of {table.full_name}; its "
        f"measures are {known}."
    )


def check_page(registry: Registry, page: Page) -> None:
    """Check that every measure and dimension of a page exists.

    Raises:
        LakehouseError: one does not.
    """
    for source in page.sources:
        if source.latest:
            resolve(registry, page, source, source.latest[0])
    for visual in page.visuals:
        source = page.source(visual.source)
        for name in visual.named_dimensions:
            resolve(registry, page, source, name)
        for name in visual.measures:
            measure_of(registry, page, source, name)
    for slicer in page.slicers:
        if not any(has_dimension(registry, page, s, slicer.dimension) for s in page.sources):
            raise LakehouseError(
                f"Page {page.name} has a slicer for {slicer.dimension}, which no source has."
            )
