"""Input, result and errors that the writers of both engines share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.commits import Commit
from lakehouse_assets.lake.predicate import Selection
from lakehouse_assets.lake.table_path import TablePath

if TYPE_CHECKING:
    from deltalake import DeltaTable


@dataclass(frozen=True)
class Replacement:
    """A change of a table: exactly the selected rows are replaced, in one commit.

    Attributes:
        table: Declaration of the table.
        path: Path of the table.
        found: The open table, at the version that the change starts from.
        selection: The rows to replace.
        commit: Origin of the new rows.
    """

    table: Table
    path: TablePath
    found: DeltaTable
    selection: Selection
    commit: Commit


@dataclass(frozen=True)
class Written:
    """Result of a change.

    Attributes:
        found: The table at the version that the change committed.
        sample: Some of the rows; None if no rows passed through this process.
    """

    found: DeltaTable
    sample: Sequence[Mapping[str, Any]] | None = None


class OvertakenError(LakehouseError):
    """Another writer was faster; a retry may succeed."""

    def __init__(self, table: Table) -> None:
        super().__init__(
            f"Another writer changed table {table.name} at the same time; nothing was written, run "
            "the partition again.",
            transient=True,
        )


def foreign_table(table: Table, features: str, engine: str, other: str) -> LakehouseError:
    """Return the error for a table with features that an engine cannot write."""
    return LakehouseError(
        f"Table {table.name} has features that {engine} cannot write ({features}); nothing was "
        f"written. Write it on {other}, or rewrite the table without them."
    )


def unwritable(path: TablePath, table: Table, reason: str) -> LakehouseError:
    """Return the error for files that cannot be written."""
    return LakehouseError(
        f"Table {table.name} cannot be written at {path.uri} ({reason}); check free "
        "space and write permissions, then run the partition again."
    )


def broken_rules(table: Table, rows: str = "Some") -> LakehouseError:
    """Return the error for rows that break declared rules.

    The message omits the rows, which may be personal data.
    """
    rules = [f"{c.name} is not null" for c in table.columns if not c.nullable]
    rules += list(table.constraints.values())
    return LakehouseError(
        f"{rows} rows for table {table.name} violate a constraint, a "
        "non-null column or the bounds of the written partition; nothing was written. "
        f"Declared: {'; '.join(rules)}."
    )
