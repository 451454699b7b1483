"""SQL names of the lake's tables, and the rows that each name returns.

Every SQL interface to the lake (the command, an endpoint, a DuckDB file) uses these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lakehouse_assets.catalog.registry import Registry, Table, TableView
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.delta import Lake


@dataclass(frozen=True)
class View:
    """A table as seen from SQL.

    Attributes:
        table: The table.
        history: Whether it has every partition of a table whose plain name means the latest one.
        computed: What computes its rows, if they are not stored.
    """

    table: Table
    history: bool = False
    computed: TableView | None = None

    @property
    def name(self) -> str:
        """The table's name, with the suffix `_history` if it has every partition."""
        return f"{self.table.name}_history" if self.history else self.table.name

    @property
    def columns(self) -> dict[str, str]:
        """Stored column of each name: column names first, then aliases and source names."""
        names = {column.name: column.name for column in self.table.columns}
        for column in self.table.columns:
            for other in (*column.aliases, *filter(None, [column.source])):
                names.setdefault(other.lower(), column.name)
        return names

    @property
    def partitions(self) -> str:
        """The partitions that it has, in words, such as `latest month`."""
        if self.computed:
            return ", ".join(table.name for table in self.computed.reads.values())
        if self.table.partition is None:
            return "all"
        latest = self.table.holds_states and not self.history
        return f"{'latest' if latest else 'every'} {self.table.partition.grain}"


def every_view(registry: Registry) -> list[View]:
    """Return the views of all tables, by name without aliases."""
    return [
        view
        for table in registry
        for view in (View(table), View(table, history=True))[: 1 + table.holds_states]
    ] + [View(view.table, computed=view) for view in registry.views]


def views(registry: Registry) -> dict[str, View]:
    """Return the views by lower-case name: table names and aliases, all also with `domain.`.

    Tables whose plain name means the latest partition have each name with `_history` too. Bare
    names that several domains share are left out; `shared_names` returns those.

    Raises:
        LakehouseError: two tables of a domain would have the same name.
    """
    return {name: found[0] for name, found in _views_of_names(registry).items() if not found[1:]}


def shared_names(registry: Registry) -> dict[str, list[Table]]:
    """Return the bare names that several domains share, in lower case, with their tables."""
    found = _views_of_names(registry)
    return {name: [view.table for view in of] for name, of in found.items() if of[1:]}


def _views_of_names(registry: Registry) -> dict[str, list[View]]:
    found: dict[str, list[View]] = {}
    for view in every_view(registry):
        table, suffix = view.table, "_history" if view.history else ""
        for plain in (table.name, *table.aliases):
            for name in (f"{plain}{suffix}", f"{table.domain}.{plain}{suffix}"):
                others = found.setdefault(name.lower(), [])
                if any(o != view and o.table.domain == table.domain for o in others):
                    raise LakehouseError(
                        f"Two tables would have the name {name} in SQL; rename one of them."
                    )
                if view not in others:
                    others.append(view)
    return found


def show(lake: Lake, names: Mapping[str, View]) -> None:
    """Register views with the lake's engine by their SQL names; this opens only the tables' logs.

    Raises:
        LakehouseError: a table has not been built.
    """
    frames: dict[View, DataFrame] = {}
    for name, view in names.items():
        if view not in frames:
            frames[view] = frame_of(lake, view)
        lake.engine.name_view(name, frames[view])


def frame_of(lake: Lake, view: View) -> DataFrame:
    """Read a view lazily, at the table's current version.

    The latest partition is the last one with rows, according to the log. A table that declares
    `latest_with`, because a month of it may have no rows, uses the latest partition of that table.

    Raises:
        LakehouseError: the table has not been built.
    """
    table = view.table
    if view.computed:
        reads = view.computed.reads.items()
        return view.computed.rule(**{name: frame_of(lake, View(of)) for name, of in reads})
    found = lake.open(table)
    if found is None:
        raise LakehouseError(
            f"Table {table.name} has not been built yet; `lakehouse run` builds it once its files "
            "are delivered."
        )
    frame = lake.read(table, version=found.version())
    if table.partition and table.holds_states and not view.history:
        # The log that was opened above, so that a commit in between changes nothing.
        dated = lake.registry.meant_by(table, table.latest_with) if table.latest_with else table
        counts = lake.rows_by_partition(dated, None if table.latest_with else found)
        latest = max((value for value, rows in counts.items() if rows), default=None)
        if latest is not None:
            frame = frame.filter(F.col(table.partition.column) == F.lit(latest))
    lake.give_back(table, found)
    aliased = [F.col(of).alias(name) for name, of in view.columns.items() if name != of]
    return frame.select(*table.column_names, *aliased) if aliased else frame
