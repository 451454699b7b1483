"""The origin of a commit's rows, versions in a table's history, and the report of a write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lakehouse_assets.engine.base import SourceColumn

_PREFIX = "lakehouse."
_ENTRIES = ("run_id", "asset", "partition", "code_version", "state")
_WRITTEN_AT = f"{_PREFIX}written_at"


@dataclass(frozen=True)
class Commit:
    """The origin of a commit's rows, kept in the table's history.

    Attributes:
        run_id: Dagster run.
        asset: Asset key.
        partition: Partition key or range, empty for an unpartitioned table.
        code_version: Version of the code that computed the rows.
        state: State for the partition's next build, as text.
    """

    run_id: str
    asset: str
    partition: str = ""
    code_version: str = ""
    state: str = ""

    def as_metadata(self) -> dict[str, str]:
        """Return the entries as the commit stores them."""
        return {_PREFIX + name: str(getattr(self, name)) for name in _ENTRIES}


@dataclass(frozen=True)
class Version:
    """One version of a table, from its history.

    Attributes:
        number: The version.
        committed_at: When it was committed.
        operation: Delta's name for the change, such as `WRITE` or `OPTIMIZE`.
        commit: Origin of its rows, which maintenance copies from the last write. None if the entry
            names no run and asset.
        written_at: When those rows were written; None if `commit` is None.
        rows: Rows that the change has added; None if the history does not say.
    """

    number: int
    committed_at: datetime
    operation: str
    commit: Commit | None
    written_at: datetime | None = None
    rows: int | None = None

    def as_metadata(self) -> dict[str, str] | None:
        """Return the metadata for a commit that keeps these rows; None if their origin is unknown.

        Maintenance commits it, so that the history still names the run that wrote the rows.
        """
        if self.commit is None or self.written_at is None:
            return None
        return {**self.commit.as_metadata(), _WRITTEN_AT: self.written_at.isoformat()}


@dataclass(frozen=True)
class WriteReport:
    """Result of a write.

    Attributes:
        version: Delta version of the table after the write.
        rows: Rows in the whole table.
        partition_rows: Rows in the partitions that were written.
        rows_by_partition: The same count for each value of the partition column, as text.
        files: Data files in the written partitions.
        bytes: Their size.
        lineage: Stored columns from which each written column is computed.
        sample: Some of the written rows, for a preview; do not log them unmasked. None if no rows
            pass through this process.
    """

    version: int
    rows: int
    partition_rows: int
    files: int
    bytes: int
    rows_by_partition: Mapping[str, int] = field(default_factory=dict)
    lineage: Mapping[str, frozenset[SourceColumn]] = field(default_factory=dict)
    sample: Sequence[Mapping[str, Any]] | None = field(default=None, repr=False)


def read_version(entry: Mapping[str, Any]) -> Version:
    """Read an entry of a table's history.

    The embedded engine stores a commit's metadata as separate entries, Spark as one JSON text.
    """
    entries = _json(entry["userMetadata"]) if "userMetadata" in entry else entry
    origin = {name: str(entries.get(_PREFIX + name) or "") for name in _ENTRIES}
    known = bool(origin["run_id"] and origin["asset"])
    committed_at = datetime.fromtimestamp(int(entry["timestamp"]) / 1000, UTC)
    written_at = datetime.fromisoformat(entries.get(_WRITTEN_AT) or committed_at.isoformat())
    return Version(
        number=int(entry["version"]),
        committed_at=committed_at,
        operation=str(entry.get("operation", "")),
        commit=Commit(**origin) if known else None,
        written_at=written_at if known else None,
        rows=_rows_added(entry.get("operationMetrics") or {}),
    )


def _rows_added(metrics: Mapping[str, Any]) -> int | None:
    """Return the rows that an operation wrote; the embedded engine and Spark name them apart."""
    names = ("num_added_rows", "numOutputRows", "num_output_rows")
    return next((int(metrics[name]) for name in names if name in metrics), None)


def _json(text: Any) -> Mapping[str, Any]:
    try:
        found = json.loads(str(text))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
