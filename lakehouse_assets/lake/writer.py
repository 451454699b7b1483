"""How the rows of a table are changed: the contract that every engine's writer keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.engine.types import DataFrame
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.commits import Commit
from lakehouse_assets.lake.place import Folder
from lakehouse_assets.lake.predicate import Selection

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable


@dataclass(frozen=True)
class Target:
    """The table that is changed.

    Attributes:
        table: Its declaration.
        folder: Where it lies.
        found: The version that the change starts from.
    """

    table: Table
    folder: Folder
    found: DeltaTable

    @property
    def uri(self) -> str:
        """Where it lies, for people and for engines."""
        return self.folder.uri


@dataclass(frozen=True)
class Change:
    """What is to happen to a table.

    Attributes:
        rows: The new rows, as the writer's `rows_of` gave them.
        selection: The rows of the table that the change may touch.
        commit: What its commit says.
        reshapes: Whether the rows have other columns than the table: new ones extend it, and those
            that are missing are null.
    """

    rows: Any
    selection: Selection
    commit: Commit
    reshapes: bool


@dataclass(frozen=True)
class Written:
    """What a change led to.

    Attributes:
        found: The table at the version that the change committed.
        sample: Some of the rows; None if reading them back is as cheap as keeping them.
        skipped: Whether the table already had the commit's transaction.
    """

    found: DeltaTable
    sample: Sequence[Mapping[str, Any]] | None = None
    skipped: bool = False


class Writer(Protocol):
    """Changes tables by one engine. Whatever it refuses, it leaves the table as it was."""

    @property
    def knows_every_feature(self) -> bool:
        """Whether tables with features that delta-rs would read wrong are read right."""
        ...

    def rows_of(self, frame: DataFrame) -> Any:
        """Turn a frame into what `replace` and `merge` take."""
        ...

    def schema_of(self, rows: Any) -> pa.Schema:
        """Return the schema that the rows have."""
        ...

    def add_constraints(self, target: Target, rules: Mapping[str, str]) -> None:
        """Add CHECK constraints that the table does not have.

        Raises:
            LakehouseError: stored rows break one.
        """
        ...

    def replace(self, target: Target, change: Change) -> Written:
        """Replace exactly the selected rows, in one commit.

        Raises:
            LakehouseError: a row lies outside the selection or breaks a constraint, or the lake
                cannot be written.
        """
        ...

    def merge(self, target: Target, change: Change, identity: Sequence[str]) -> Written:
        """Insert rows of new identity and update known ones within the selection.

        Raises:
            LakehouseError: an identity is null or comes twice, or as for `replace`.
        """
        ...


class OvertakenError(LakehouseError):
    """Another writer was faster; trying again may succeed."""

    def __init__(self, table: Table) -> None:
        super().__init__(
            f"Another writer changed table {table.name} at the same time; nothing was written, run "
            "the partition again.",
            passes=True,
        )


def foreign_table(table: Table, features: str, engine: str, other: str) -> LakehouseError:
    """Say that a table has features which one engine cannot keep up."""
    return LakehouseError(
        f"Table {table.name} has features that {engine} cannot write ({features}); nothing was "
        f"written. Write it on {other}, or rewrite it without."
    )


def unwritable(uri: str, table: Table, reason: str) -> LakehouseError:
    """Say that files could not be written."""
    return LakehouseError(
        f"Table {table.name} cannot be written at {uri} ({reason}); check free "
        "space and write rights, then run the partition again."
    )


def broken_rules(table: Table, rows: str = "Some") -> LakehouseError:
    """Say that rows break what is declared; the rows themselves, maybe personal, are not shown."""
    rules = [f"{c.name} is not null" for c in table.columns if not c.nullable]
    rules += list(table.constraints.values())
    return LakehouseError(
        f"{rows} rows for table {table.name} break a constraint, a "
        "non-null column or the bounds of the written partition; nothing was written. "
        f"Declared: {'; '.join(rules)}."
    )


def rows_outside(table: Table, rows: int, predicate: str | None) -> LakehouseError:
    """Say that rows to be merged lie outside the selection."""
    return LakehouseError(
        f"{rows} rows for table {table.name} lie outside the written partitions "
        f"({predicate}); nothing was written. Filter them in the transformation."
    )


def ambiguous_rows(table: Table, identity: Sequence[str], nulls: int, twice: int) -> LakehouseError:
    """Say that rows to be merged have no identity, or share one."""
    return LakehouseError(
        f"The rows for table {table.name} cannot be merged by {', '.join(identity)}: "
        f"{nulls} keys are null and {twice} come more than once; nothing was written. "
        "Deduplicate in the transformation."
    )
