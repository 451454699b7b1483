"""Declares a source table: a database table that is copied into the landing zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.errors import LakehouseError


@dataclass(frozen=True)
class SourceTable:
    """A table of a database whose rows are delivered as a landing dataset.

    Its columns are found by the source names of the dataset's fields, regardless of case.

    Attributes:
        dataset: The dataset that its rows are delivered as.
        source: Name of the database; the variable `LAKEHOUSE_SOURCE_<NAME>` holds its address.
        table: Name of the table or view.
        system: Kind of database, for people; its address says which driver reads it.
        schema: Its schema; None for the default schema of the connection.
        key: Columns that identify a row. A copy orders rows by them and can resume after an
            interruption; a table without a key is copied as one file.
        cursor: Column whose value increases when a row is written or changed. Without one, every
            copy is full.
        overlap: How far before the end of the last copy the next one starts, for cursors that are
            dates or timestamps: a row may be committed later than its timestamp says.
    """

    dataset: Dataset
    source: str
    table: str
    system: str = "SQL database"
    schema: str | None = None
    key: tuple[str, ...] = ()
    cursor: str | None = None
    overlap: timedelta = timedelta(minutes=10)

    @property
    def full_name(self) -> str:
        """The table's name, with the schema if there is one."""
        return f"{self.schema}.{self.table}" if self.schema else self.table

    def __post_init__(self) -> None:
        """Refuse key and cursor columns that are not fields of the dataset."""
        named = {*self.key, *([self.cursor] if self.cursor else [])}
        unknown = named - set(self.dataset.source_names)
        if unknown:
            raise LakehouseError(
                f"The source of {self.dataset.path} names {', '.join(sorted(unknown))}, which is "
                "not a field of the dataset."
            )


def source_of(sources: Sequence[SourceTable], path: str) -> SourceTable:
    """Find the source table of a dataset by `<domain>/<dataset>`.

    Raises:
        LakehouseError: there is none; the message lists the known ones.
    """
    for source in sources:
        if source.dataset.path == path:
            return source
    known = ", ".join(source.dataset.path for source in sources)
    raise LakehouseError(f"No source table is declared for {path!r}; choose one of {known}.")
