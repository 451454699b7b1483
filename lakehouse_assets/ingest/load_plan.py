"""Plan which files a load reads: those that bronze does not have in their current version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from lakehouse_assets.catalog.datasets import Dataset, bronze_table, rejects_table
from lakehouse_assets.engine import F
from lakehouse_assets.ingest.landing import LandedFile
from lakehouse_assets.ingest.reader import WHOLE_FILE
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Values, Windows

_FILE = ("_source_file", "_file_version", "_file_records")


@dataclass(frozen=True)
class LoadPlan:
    """The files that a load reads, and the rows that it replaces.

    Attributes:
        files: Files to read.
        replaced: Rows of the partitions to replace: those of the files to read, and those of files
            that are no longer in the landing zone. None for all rows.
        reused_files: Number of files whose rows bronze keeps.
        records: Number of records in those files, by partition.
    """

    files: list[LandedFile]
    replaced: Values | None = None
    reused_files: int = 0
    records: Counter[date] = field(default_factory=Counter)


def plan_load(
    lake: Lake,
    dataset: Dataset,
    listed: Mapping[date, Sequence[LandedFile]],
    window: Windows,
) -> LoadPlan:
    """Compare the delivered files of some partitions with the files that bronze has.

    A file is kept if bronze and the rejects together have all of its records, in the version that
    is listed now. Re-running an unchanged partition re-reads all its files, because that is why
    people run it by hand. A file that was refused is re-read, because it may be readable by now.

    `listed` has all delivered files of the partitions in `window`, by partition.
    """
    held = _held(lake, dataset, window)
    names = {file.name for members in listed.values() for file in members}
    kept: dict[str, int] = {}
    records: Counter[date] = Counter()
    for partition, members in listed.items():
        stays = {
            file.name: held[file.name]["rows"]
            for file in members
            if file.name in held and _is_whole(held[file.name], file)
        }
        gone = any(row["day"] == partition and name not in names for name, row in held.items())
        if gone or len(stays) < len(members):
            kept |= stays
            records[partition] = sum(stays.values())
    files = [file for members in listed.values() for file in members if file.name not in kept]
    if not kept:
        return LoadPlan(files)
    # Never empty: files are kept only in partitions that also have a changed or removed file.
    replaced = Values("_source_file", tuple(sorted((held.keys() | names) - kept.keys())))
    return LoadPlan(files, replaced, len(kept), +records)


def _is_whole(row: Mapping[str, Any], file: LandedFile) -> bool:
    """Return whether bronze has all records of a file, in the version that is listed."""
    same = row["oldest"] == row["newest"] == file.fingerprint
    return same and row["rows"] == row["records"] and not row["refused"]


def _held(lake: Lake, dataset: Dataset, window: Windows) -> dict[str, dict[str, Any]]:
    """Summarise the rows of each file in bronze and the rejects, by file name."""
    column = dataset.partition.column
    rows, rejects = bronze_table(dataset), rejects_table(dataset)
    days = {*lake.rows_by_partition(rows), *lake.rows_by_partition(rejects)}
    if not any(start <= day < end for day in days for start, end in window.spans):
        return {}
    whole = F.when(F.col("line_number") == F.lit(WHOLE_FILE), F.lit(1)).otherwise(F.lit(0))
    read = lake.read(rows, window, [column, *_FILE]).withColumn("whole", F.lit(0))
    rejected = lake.read(rejects, window, [column, *_FILE, "line_number"])
    both = lake.engine.union(
        [read, rejected.withColumn("whole", whole).select(column, *_FILE, "whole")]
    )
    counted = both.groupBy("_source_file").agg(
        F.min(column).alias("day"),
        F.min("_file_version").alias("oldest"),
        F.max("_file_version").alias("newest"),
        F.max("_file_records").alias("records"),
        F.max("whole").alias("refused"),
        F.count(F.lit(1)).alias("rows"),
    )
    return {row["_source_file"]: row for row in lake.engine.rows(counted)}
