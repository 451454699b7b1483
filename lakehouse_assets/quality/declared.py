"""Checks that follow from a table's declaration: its keys and its references.

Belongs here: building and running those checks on stored partitions. Not here: expectations about
values (`expectations.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg

from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Selection
from lakehouse_assets.lake.registry import Reference, Table

KEYS_ARE_UNIQUE = "keys_are_unique"


def declared_check_specs(table: Table) -> list[dg.AssetCheckSpec]:
    """Declare the checks of a table: unique keys, and each reference found."""
    specs = [
        dg.AssetCheckSpec(
            KEYS_ARE_UNIQUE,
            asset=table.asset_key,
            blocking=True,
            description=f"No two rows share {', '.join(table.keys)}.",
        )
    ]
    specs += [
        dg.AssetCheckSpec(
            _reference_name(reference),
            asset=table.asset_key,
            blocking=reference.required,
            description=f"{', '.join(reference.columns)} is found in {reference.to_table}.",
        )
        for reference in table.references
    ]
    return specs


def declared_check_results(
    table: Table, lake: Lake, selection: Selection, parent_selection: Selection
) -> Iterator[dg.AssetCheckResult]:
    """Run the declared checks on the stored rows of a selection.

    Args:
        table: The table to check.
        lake: Where it is stored.
        selection: The partitions just written.
        parent_selection: The partitions of the referenced tables (ignored by unpartitioned ones).
    """
    wanted = {*table.keys, *(name for r in table.references for name in r.columns)}
    rows = lake.read(table, selection, columns=sorted(wanted))
    repeated = rows.groupBy(*table.keys).agg(F.count(F.lit(1)).alias("rows_of_key"))
    orphans = [_orphans(lake, rows, reference, parent_selection) for reference in table.references]
    number, *numbers = _counts(lake, [repeated.filter(F.col("rows_of_key") > F.lit(1)), *orphans])
    yield dg.AssetCheckResult(
        asset_key=table.asset_key,
        check_name=KEYS_ARE_UNIQUE,
        passed=number == 0,
        description=f"{number:,} keys occur more than once.",
        metadata={"repeated_keys": number},
    )
    for reference, lost in zip(table.references, numbers, strict=True):
        yield dg.AssetCheckResult(
            asset_key=table.asset_key,
            check_name=_reference_name(reference),
            passed=lost == 0,
            severity=(
                dg.AssetCheckSeverity.ERROR if reference.required else dg.AssetCheckSeverity.WARN
            ),
            description=f"{lost:,} rows have no {reference.to_table}.",
            metadata={"rows_without_parent": lost},
        )


def _orphans(
    lake: Lake, rows: DataFrame, reference: Reference, parent_selection: Selection
) -> DataFrame:
    """Return the rows whose reference is not found."""
    parent = lake.registry[reference.to_table]
    targets = lake.read(
        parent, parent_selection if parent.partition else None, columns=reference.to_columns
    ).select(*[F.col(c).alias(f"parent_{c}") for c in reference.to_columns])
    condition = F.lit(True)
    present = F.lit(True)
    for column, target in zip(reference.columns, reference.to_columns, strict=True):
        condition = condition & (F.col(column) == F.col(f"parent_{target}"))
        present = present & F.col(column).isNotNull()
    return rows.filter(present).join(targets, condition, "left_anti")


def _reference_name(reference: Reference) -> str:
    return f"{reference.columns[-1]}_is_in_{reference.to_table}"


def _counts(lake: Lake, frames: Sequence[DataFrame]) -> list[int]:
    """Count the rows of frames, in one query: on Spark each one costs a good part of a second."""
    counts = [
        frame.agg(F.count(F.lit(1)).alias("n")).select(F.lit(place).alias("place"), "n")
        for place, frame in enumerate(frames)
    ]
    found = {row["place"]: int(row["n"]) for row in lake.engine.rows(lake.engine.union(counts))}
    return [found[place] for place in range(len(frames))]
