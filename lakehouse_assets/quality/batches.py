"""Finds the files of a partition that silver lacks, so that a build cleans only their rows.

The rows of other files stay if a rebuild would give the same ones: if the files, the code and all
earlier partitions are as they were when silver was built. A commit of silver records that. In any
other case, such as a corrected file or a killed build, the partition is rebuilt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import Any

from lakehouse_assets.catalog.datasets import Dataset, quarantine_table, silver_table
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.clock import following
from lakehouse_assets.code_version import code_version
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.lake.commits import Commit
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Values, between

# Number of newest commits among which the last build of a partition is looked for.
_LOOK_BACK = 10


@dataclass(frozen=True)
class Build:
    """A build of one partition, as its commits record it.

    Attributes:
        built_from: Fingerprint of the partition's files, of the code and of the dataset's options.
        silver_version: Version of silver in which the build read earlier partitions.
        quarantine_kept: Whether the build left the partition's quarantine as it was, in which case
            an engine may have committed nothing there.
        failing: How many rows of the partition fail each expectation, and `all_rows`.
        dispositions: Rows of the partition, by disposition.
    """

    built_from: str
    silver_version: int
    quarantine_kept: bool = False
    failing: Mapping[str, int] = field(default_factory=dict)
    dispositions: Mapping[str, int] = field(default_factory=dict)

    def text(self) -> str:
        """Return the text that the commits keep."""
        return json.dumps(vars(self), sort_keys=True)


@dataclass(frozen=True)
class Batch:
    """What a build cleans.

    Attributes:
        build: What the build is made from; None for several partitions, which are not recorded.
        files: Files whose rows are cleaned and replaced; None for all rows of the partitions.
        before: The build that the rows of the other files come from; None without such rows.
    """

    build: Build | None = None
    files: Values | None = None
    before: Build | None = None


def plan_batch(
    dataset: Dataset, lake: Lake, bronze: DataFrame, earlier: DataFrame | None, span: Sequence[date]
) -> Batch:
    """Compare the files of bronze with those that silver and its quarantine have.

    Runs over several partitions, datasets whose deliveries correct earlier ones, and partitions
    without new files (a re-run by hand) are always rebuilt. Spark commits nothing to silver for a
    file without an accepted row, so the next file leads to a rebuild.

    Args:
        dataset: The dataset.
        lake: Where its tables are stored.
        bronze: Bronze rows of the run's partitions.
        earlier: Silver rows of earlier partitions, if they count.
        span: First of the run's partitions, and the one after the last.
    """
    partition = span[0]
    if dataset.counts == "corrected" or following(partition, dataset.grain) != span[1]:
        return Batch()
    table, quarantine = silver_table(dataset), quarantine_table(dataset)
    read = {} if earlier is None else lake.engine.versions_read(earlier)
    version = read.get(table.identifier, lake.version(table) or 0)
    files = _files(lake, bronze)
    whole = Batch(Build(_fingerprint(dataset, files), version))
    last = _last_build(lake, table, quarantine, partition)
    if last is None:
        return whole
    window = between(dataset.partition, *span)
    stored = _rows_by_file(
        lake, [lake.read(t, window, ["_source_file"]) for t in (table, quarantine)]
    )
    new = files.keys() - stored.keys()
    kept = {name: found for name, found in files.items() if name not in new}
    counts = {name: found["rows"] for name, found in kept.items()}
    if not new or counts != stored or last["built_from"] != _fingerprint(dataset, kept):
        return whole
    return Batch(whole.build, Values("_source_file", tuple(sorted(new))), Build(**last))


def _files(lake: Lake, bronze: DataFrame) -> dict[str, dict[str, Any]]:
    """Return the version and the number of rows of each bronze file, by its name."""
    counted = bronze.groupBy("_source_file").agg(
        F.min("_file_version").alias("oldest"),
        F.max("_file_version").alias("newest"),
        F.count(F.lit(1)).alias("rows"),
    )
    return {row["_source_file"]: row for row in lake.engine.rows(counted)}


def _rows_by_file(lake: Lake, frames: Sequence[DataFrame]) -> dict[str, int]:
    counted = lake.engine.union(frames).groupBy("_source_file").agg(F.count(F.lit(1)).alias("rows"))
    return {row["_source_file"]: row["rows"] for row in lake.engine.rows(counted)}


def _last_build(
    lake: Lake, table: Table, quarantine: Table, partition: date
) -> Mapping[str, Any] | None:
    """Return the record of a partition's last build; None if its rows may be out of date.

    They may be if the build was killed before it had written the quarantine, or if an earlier
    partition, or an unknown one, was written since it read them.
    """
    name = partition.isoformat()
    versions = lake.history(table, _LOOK_BACK)
    state = _state(name, [v.commit for v in versions])
    if not state:
        return None
    build: Mapping[str, Any] = json.loads(state)
    since = [v for v in versions if v.number > build["silver_version"]]
    if len(since) < versions[0].number - build["silver_version"]:
        return None
    others = [v.commit.partition if v.commit else "" for v in since]
    # Of a range, the first partition counts.
    if any(other[: len(name)] <= name for other in others if other != name):
        return None
    if not build["quarantine_kept"]:
        written = [v.commit for v in lake.history(quarantine, _LOOK_BACK)]
        if _state(name, written) != state:
            return None
    return build


def _state(partition: str, commits: Sequence[Commit | None]) -> str:
    """Return the state that the newest commit of a partition keeps; "" without one."""
    return next((c.state for c in commits if c is not None and c.partition == partition), "")


def _fingerprint(dataset: Dataset, files: Mapping[str, Mapping[str, Any]]) -> str:
    columns = ("_source_file", "oldest", "newest", "rows")
    listed = [[files[name][column] for column in columns] for name in sorted(files)]
    recorded = json.dumps([code_version(), repr(sorted(dataset.options.items())), listed])
    return sha256(recorded.encode()).hexdigest()
