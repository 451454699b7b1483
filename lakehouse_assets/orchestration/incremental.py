"""Which delivered files have to be read, and which of them bronze holds already.

A partition is always written whole, so that it is what its files say; but a file that was added to
it does not make the others be read again: their rows are taken over from bronze, which is a copy
from columns to columns. That is done where it is certain to give the same rows: files were added
and none was changed or withdrawn since the last load, and the tables hold as many rows as that load
counted in the files. Otherwise, and when there is no news at all, everything is read: to run a
partition once more is how to have it read anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import dagster as dg

from lakehouse_assets.catalog.datasets import Dataset, bronze_table, rejects_table
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.ingest.landing import LandedFile, content_of
from lakehouse_assets.ingest.reader import WHOLE_FILE, partition_value
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Windows
from lakehouse_assets.orchestration.loads import newest_loads


@dataclass(frozen=True)
class Reading:
    """What a load reads, and what it takes over.

    Attributes:
        files: Files to read.
        records: Records of the files whose rows are taken over, as they were counted when those
            were read, by partition; empty if nothing is taken over.
        kept: How many files those are.
    """

    files: list[LandedFile]
    records: Counter[date] = field(default_factory=Counter)
    kept: int = 0

    def taken_over(
        self, lake: Lake, dataset: Dataset, table: Table, window: Windows
    ) -> list[DataFrame]:
        """Return the rows that stay as they are: a frame, or none.

        Args:
            lake: The lake.
            dataset: What was delivered.
            table: Its bronze table, or its rejects.
            window: The partitions that are loaded.
        """
        if not self.kept:
            return []
        again = [
            file.name
            for file in self.files
            if partition_value(dataset, file.delivered_on) in self.records
        ]
        stays = F.col(dataset.partition.column).isin([*self.records])
        rows = lake.read(table, window)
        return [rows.filter(stays & ~F.col("_source_file").isin(again))]


def files_to_read(
    instance: dg.DagsterInstance,
    lake: Lake,
    dataset: Dataset,
    listed: Mapping[date, Sequence[LandedFile]],
    window: Windows,
) -> Reading:
    """Decide which of the listed files are read.

    Args:
        instance: Where loads are recorded.
        lake: The lake.
        dataset: What was delivered.
        listed: All delivered files of the partitions that are loaded, by partition.
        window: The partitions that are loaded.
    """
    files = [file for members in listed.values() for file in members]
    grown = {
        partition: load
        for partition, load in newest_loads(instance, dataset, listed).items()
        if load.content != content_of(listed[partition])
    }
    if not grown:
        return Reading(files)
    stored = _Stored(lake, dataset, window)
    records: Counter[date] = Counter()
    unread: set[str] = set()
    for partition, load in grown.items():
        known = stored.names.get(partition, set())
        before = content_of(file for file in listed[partition] if file.name in known)
        # A file that was refused may be readable by now.
        sound = known - stored.refused
        if sound and before == load.content and stored.records[partition] == load.records:
            records[partition] = load.records
            unread |= sound
    return Reading([file for file in files if file.name not in unread], records, len(unread))


class _Stored:
    """What bronze holds of the partitions of a window.

    Attributes:
        names: Files that left something in them, by partition.
        refused: Files that could not be read at all.
        records: Records by partition, those that were rejected included.
    """

    def __init__(self, lake: Lake, dataset: Dataset, window: Windows) -> None:
        column = dataset.partition.column
        rows, rejects = bronze_table(dataset), rejects_table(dataset)
        self.names: dict[date, set[str]] = {}
        self.refused: set[str] = set()
        self.records = Counter(lake.rows_by_partition(rows))
        self.records.update(lake.rows_by_partition(rejects))
        of_rows = lake.read(rows, window, [column, "_source_file"]).distinct()
        for row in lake.engine.rows(of_rows):
            self.names.setdefault(row[column], set()).add(row["_source_file"])
        is_whole = (F.col("line_number") == F.lit(WHOLE_FILE)).alias("is_whole")
        of_rejects = lake.read(rejects, window, [column, "_source_file", "line_number"])
        for row in lake.engine.rows(of_rejects.select(column, "_source_file", is_whole).distinct()):
            self.names.setdefault(row[column], set()).add(row["_source_file"])
            if row["is_whole"]:
                self.refused.add(row["_source_file"])
                self.records[row[column]] -= 1
