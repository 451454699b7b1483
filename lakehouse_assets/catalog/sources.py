"""What is copied out of a database: the declaration of a source table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.errors import LakehouseError


@dataclass(frozen=True)
class SourceTable:
    """A table of a database whose rows are delivered as a landing dataset.

    Its columns are the dataset's fields, by the names in the source; capital and small letters are
    the same.

    Attributes:
        dataset: What its rows are delivered as.
        source: Name of the database; its address is the variable `LAKEHOUSE_SOURCE_<NAME>`.
        table: Name of the table or view.
        schema: Its schema; None for the one that the address leads to.
        key: Columns that identify a row. They put rows in order, so that a copy that broke off
            goes on where it was; a table without them is copied as one file.
        cursor: Column that grows when a row is written or changed. Without one, every copy is full.
        overlap: How far before the last copy's end the next one begins, for cursors that are
            moments: rows are committed later than they are stamped.
    """

    dataset: Dataset
    source: str
    table: str
    schema: str | None = None
    key: tuple[str, ...] = ()
    cursor: str | None = None
    overlap: timedelta = timedelta(minutes=10)

    @property
    def full_name(self) -> str:
        """Its name with the schema."""
        return f"{self.schema}.{self.table}" if self.schema else self.table

    def __post_init__(self) -> None:
        """Refuse columns that are not delivered."""
        named = {*self.key, *([self.cursor] if self.cursor else [])}
        unknown = named - set(self.dataset.source_names)
        if unknown:
            raise LakehouseError(
                f"The source of {self.dataset.path} names {', '.join(sorted(unknown))}, which is "
                "no field of the dataset."
            )


def source_of(sources: Sequence[SourceTable], path: str) -> SourceTable:
    """Find the source table of a dataset by `<domain>/<dataset>`.

    Raises:
        LakehouseError: there is none; the message lists what there is.
    """
    for source in sources:
        if source.dataset.path == path:
            return source
    known = ", ".join(source.dataset.path for source in sources)
    raise LakehouseError(f"No source table is declared for {path!r}; there are {known}.")
