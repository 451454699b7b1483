"""Input, result and errors that the writers of both engines share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.commits import Commit
from lakehouse_assets.lake.predicate import Selection
from lakehouse_assets.lake.table_path import TablePath

if TYPE_CHECKING:
    from deltalake import DeltaTable


@dataclass(frozen=True)
class Advance:
    """How far a commit takes a table in a source of messages, such as a partition of a topic.

    Attributes:
        begin: The offset that the table has reached; None if it has read nothing of the source.
        end: The offset that it has reached after the commit: the next one to read.
    """

    begin: int | None
    end: int


# By the name of the source, which is the app id of the transaction in Delta's log.
Progress: TypeAlias = Mapping[str, Advance]


@dataclass(frozen=True)
class Change:
    """A change of a table in one commit: exactly the selected rows are replaced, or rows added.

    Attributes:
        table: Declaration of the table.
        path: Path of the table.
        found: The open table, at the version that the change starts from.
        selection: The rows to replace; None to add rows.
        commit: Origin of the new rows.
        progress: How far the commit takes the table in its sources, recorded with the rows.
    """

    table: Table
    path: TablePath
    found: DeltaTable
    selection: Selection | None
    commit: Commit
    progress: Progress = field(default_factory=dict)


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
            f"Another writer changed table {table.name} at the same time. Nothing was written; run "
            "the partition again.",
            transient=True,
        )


class FencedError(LakehouseError):
    """Another process writes the same messages into the table."""

    def __init__(self, table: Table, source: str) -> None:
        super().__init__(
            f"Another process also reads {source} into table {table.name} and is ahead; nothing "
            "was written twice. Only one process may read a stream: stop one of them."
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
        f"{rows} rows for table {table.name} violate a constraint, are null in a required column, "
        "or are outside the written partition; nothing was written. "
        f"Declared: {'; '.join(rules)}."
    )
