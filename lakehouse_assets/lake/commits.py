"""What a commit says about where its rows came from, and what a write reports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lakehouse_assets.engine.base import SourceColumn

_PREFIX = "lakehouse."
_ENTRIES = ("run_id", "asset", "partition", "code_version")
_WRITTEN_AT = f"{_PREFIX}written_at"


@dataclass(frozen=True)
class Transaction:
    """A step of an application that is written once, however often it is tried.

    Attributes:
        application: What counts the steps, such as `kafka:<group>:<topic>:<partition>`.
        version: Number of the step; a table that has it or a later one skips the write.
    """

    application: str
    version: int


@dataclass(frozen=True)
class Commit:
    """What a commit says about where it came from; kept in the table's history.

    Attributes:
        run_id: Dagster run.
        asset: Asset key.
        partition: Partition key or range, empty for an unpartitioned table.
        code_version: Version of the code that made the rows.
        transaction: Step of an application that is to be written once only.
    """

    run_id: str
    asset: str
    partition: str = ""
    code_version: str = ""
    transaction: Transaction | None = None

    def as_metadata(self) -> dict[str, str]:
        """Return the entries as the commit stores them."""
        return {_PREFIX + name: str(getattr(self, name)) for name in _ENTRIES}


@dataclass(frozen=True)
class Version:
    """One version of a table, as its history tells it.

    Attributes:
        number: The version.
        committed_at: When it was committed.
        operation: What Delta calls the change, such as `WRITE` or `OPTIMIZE`.
        commit: Where its rows came from: maintenance repeats what the last write said. None if
            nothing of a lake's writes is told.
        written_at: When those rows were written; None where `commit` is.
    """

    number: int
    committed_at: datetime
    operation: str
    commit: Commit | None
    written_at: datetime | None = None

    def as_metadata(self) -> dict[str, str] | None:
        """Return what a commit says that leaves the rows as they are; None if nothing is known."""
        if self.commit is None or self.written_at is None:
            return None
        return {**self.commit.as_metadata(), _WRITTEN_AT: self.written_at.isoformat()}


@dataclass(frozen=True)
class WriteReport:
    """What a write left behind.

    Attributes:
        version: Delta version of the table after the write.
        rows: Rows in the whole table.
        partition_rows: Rows in the partitions that were written.
        rows_by_partition: The same by the value of the partition column, as text.
        files: Data files of the written partitions.
        bytes: Their size.
        lineage: Stored columns from which each written column is computed.
        sample: Some of the written rows, for a preview; never log them as they are. None where no
            row passes through this process.
        skipped: Whether nothing was written because the commit's transaction was already there.
    """

    version: int
    rows: int
    partition_rows: int
    files: int
    bytes: int
    rows_by_partition: Mapping[str, int] = field(default_factory=dict)
    lineage: Mapping[str, frozenset[SourceColumn]] = field(default_factory=dict)
    sample: Sequence[Mapping[str, Any]] | None = field(default=None, repr=False)
    skipped: bool = False


def read_version(entry: Mapping[str, Any]) -> Version:
    """Read an entry of a table's history.

    The embedded engine keeps what a commit says as entries of their own, Spark as one JSON text.
    Transactions are no part of the history: a table tells the last one of each application.
    """
    entries: Mapping[str, Any] = entry
    if "userMetadata" in entry:
        entries = _json(entry["userMetadata"])
    run_id, asset, partition, code_version = (entries.get(_PREFIX + name) for name in _ENTRIES)
    known = run_id is not None and asset is not None
    committed_at = datetime.fromtimestamp(int(entry["timestamp"]) / 1000, UTC)
    written_at = entries.get(_WRITTEN_AT)
    return Version(
        number=int(entry["version"]),
        committed_at=committed_at,
        operation=str(entry.get("operation", "")),
        commit=Commit(str(run_id), str(asset), str(partition or ""), str(code_version or ""))
        if known
        else None,
        written_at=(datetime.fromisoformat(str(written_at)) if written_at else committed_at)
        if known
        else None,
    )


def _json(text: Any) -> Mapping[str, Any]:
    try:
        found = json.loads(str(text))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
