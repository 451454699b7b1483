"""The lake as one statement sees it: each table at one version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake import log
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.views import View

if TYPE_CHECKING:
    from deltalake import DeltaTable


@dataclass(frozen=True)
class AsOf:
    """An earlier state of a table: either a version, or the newest version at a moment.

    Attributes:
        version: The version.
        moment: The moment, in UTC.
    """

    version: int | None = None
    moment: datetime | None = None

    def __str__(self) -> str:
        return f"v{self.version}" if self.moment is None else f"{self.moment:%Y-%m-%d %H:%M:%S,%f}"


NOW = AsOf()


class Snapshot:
    """The tables of a lake at their versions when they were first asked for."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._opened: dict[tuple[Table, AsOf], DeltaTable] = {}

    def open(self, table: Table, as_of: AsOf = NOW) -> DeltaTable:
        """Open a table at its version in this snapshot.

        Raises:
            LakehouseError: the table has not been built, or had no such version.
        """
        found = self._opened.get((table, as_of))
        if found is None:
            found = self._lake.open(table)
            if found is None:
                raise LakehouseError(
                    f"Table {table.name} has not been built yet; deliver its files, then run "
                    "`lakehouse run`."
                )
            version = as_of.version
            if as_of.moment is not None:
                version = _version_at(table, found, as_of.moment)
            if version is not None:
                found = log.load_version(table, found, version)
            self._opened[table, as_of] = found
        return found

    def versions(self, view: View, as_of: AsOf = NOW) -> tuple[tuple[str, int], ...]:
        """Return the version of each table that a view's rows depend on, by full name."""
        if view.computed:
            return tuple(
                version
                for table in view.computed.reads.values()
                for version in self.versions(View(table), self._of_others(view.table, as_of))
            )
        own = (view.table.full_name, int(self.open(view.table, as_of).version()))
        dated, its = self._dated(view, as_of)
        if dated is None or dated == view.table:
            return (own,)
        return own, (dated.full_name, int(self.open(dated, its).version()))

    def frame(self, view: View, as_of: AsOf = NOW) -> DataFrame:
        """Read a view lazily.

        The latest partition is the last one with rows, according to the log. A table that declares
        `latest_with`, because a month of it may have no rows, uses the latest partition of that
        table.

        Raises:
            LakehouseError: the table has not been built, or had no such version.
        """
        table = view.table
        if view.computed:
            its = self._of_others(table, as_of)
            reads = view.computed.reads.items()
            frame = view.computed.rule(**{name: self.frame(View(of), its) for name, of in reads})
        else:
            frame = self._lake.scan(table, self.open(table, as_of))
            latest = self.latest(view, as_of)
            if latest is not None and table.partition:
                frame = frame.filter(F.col(table.partition.column) == F.lit(latest))
        aliased = [F.col(of).alias(name) for name, of in view.columns.items() if name != of]
        return frame.select(*table.column_names, *aliased) if aliased else frame

    def latest(self, view: View, as_of: AsOf = NOW) -> date | None:
        """Return the only partition that a view has; None if it has all, or if there is none."""
        dated, its = self._dated(view, as_of)
        if dated is None:
            return None
        counts = self._lake.rows_by_partition(dated, self.open(dated, its))
        return max((value for value, rows in counts.items() if rows), default=None)

    def _dated(self, view: View, as_of: AsOf) -> tuple[Table | None, AsOf]:
        """Return the table whose latest partition a view has, and its state; None if it has all."""
        table = view.table
        if not table.holds_states or view.history:
            return None, as_of
        if table.latest_with is None:
            return table, as_of
        return self._lake.registry.meant_by(table, table.latest_with), self._of_others(table, as_of)

    def _of_others(self, table: Table, as_of: AsOf) -> AsOf:
        """Return the state of other tables when a table was at an earlier state.

        Raises:
            LakehouseError: the table is a view, which has no versions.
        """
        if as_of.version is None:
            return as_of
        if table.kind == "view":
            raise view_without_versions(table)
        (moment,) = (
            version.committed_at
            for version in log.history(self.open(table))
            if version.number == as_of.version
        )
        return AsOf(moment=moment)


def view_without_versions(table: Table) -> LakehouseError:
    """Return the error for a version of a table that is computed when it is read."""
    return LakehouseError(
        f"{table.name} is a view, which has no versions; query the versions of its tables."
    )


def _version_at(table: Table, found: DeltaTable, moment: datetime) -> int:
    """Return the newest version that was committed by a moment, as in `describe history`."""
    versions = log.history(found)
    known = [version.number for version in versions if version.committed_at <= moment]
    if not known:
        oldest = versions[-1]
        raise LakehouseError(
            f"Table {table.name} had no version at {moment:%Y-%m-%d %H:%M:%S} UTC; the oldest "
            f"known version is {oldest.number}, of {oldest.committed_at:%Y-%m-%d %H:%M:%S} UTC."
        )
    return max(known)
