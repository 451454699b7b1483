"""SQL names of the lake's tables, and the rows that each name returns.

Every SQL interface to the lake (the command, an endpoint, a DuckDB file) uses these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from lakehouse_assets.catalog.registry import Column, Registry, Table, TableView
from lakehouse_assets.errors import LakehouseError


@dataclass(frozen=True)
class View:
    """A table as seen from SQL.

    Attributes:
        table: The table.
        history: Whether it has every partition of a table whose plain name means the latest one.
        computed: The declaration that computes its rows; None if they are stored.
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
    def named_columns(self) -> list[Column]:
        """The columns under all their names; other names are described as such."""
        found = []
        for name, stored in self.columns.items():
            column = self.table.column(stored)
            if name != stored:
                said = f"Another name for {stored}."
                column = replace(column, name=name, description=said, aliases=())
            found.append(column)
        return found

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


@lru_cache(maxsize=8)
def views(registry: Registry) -> Mapping[str, View]:
    """Return the views by lower-case name: table names and aliases, all also with `domain.`.

    Tables whose plain name means the latest partition have each name with `_history` too. Bare
    names that several domains share are left out; `shared_names` returns those.

    Raises:
        LakehouseError: two tables of a domain would have the same name.
    """
    return {name: found[0] for name, found in _views_of_names(registry).items() if not found[1:]}


@lru_cache(maxsize=8)
def shared_names(registry: Registry) -> Mapping[str, list[Table]]:
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
