"""Checks that follow from a table's declaration: its keys and its references."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lakehouse_assets.catalog.registry import Reference, Table
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Selection
from lakehouse_assets.quality.checks import Check, Finding
from lakehouse_assets.text import counted


def declared_checks(table: Table) -> list[Check]:
    """Return the checks of a table: its keys are unique, and all its references exist."""
    keys = Check("keys_are_unique", f"No two rows share {', '.join(table.keys)}.", blocking=True)
    return [
        keys,
        *(
            Check(
                f"{reference.columns[-1]}_is_in_{reference.to_table.replace('.', '_')}",
                f"{', '.join(reference.columns)} exists in {reference.to_table}.",
                blocking=reference.required,
            )
            for reference in table.references
        ),
    ]


def check_declared(
    table: Table, lake: Lake, selection: Selection, parent_selection: Selection
) -> Iterator[Finding]:
    """Run the declared checks on the stored rows of a selection.

    Args:
        table: The table to check.
        lake: Where it is stored.
        selection: The partitions just written.
        parent_selection: The partitions of the referenced tables (ignored by unpartitioned ones).
    """
    part = table.partition.column if table.partition else None
    wanted = {*table.keys, *(name for r in table.references for name in r.columns)}
    rows = lake.read(table, selection, columns=sorted(wanted | ({part} if part else set())))
    number_of_rows = F.count(F.lit(1)).alias("rows_of_key")
    if part is None or part in table.keys:
        repeated = rows.groupBy(*table.keys).agg(number_of_rows)
    else:
        # A key that occurs in two partitions counts as a failure of the later one.
        repeated = rows.groupBy(*table.keys).agg(number_of_rows, F.max(part).alias(part))
    orphans = [
        _orphans(lake, table, rows, reference, parent_selection) for reference in table.references
    ]
    frames = [repeated.filter(F.col("rows_of_key") > F.lit(1)), *orphans]
    keys, *references = declared_checks(table)
    number, *numbers = _counts(lake, frames, part)
    total = sum(number.values())
    text = f"{counted(total, 'key')} {'occurs' if total == 1 else 'occur'} more than once."
    yield Finding(keys, text, number, numbers={"repeated_keys": total})
    for check, reference, lost in zip(references, table.references, numbers, strict=True):
        total = sum(lost.values())
        have = "has" if total == 1 else "have"
        text = f"{counted(total, 'row')} {have} no match in {reference.to_table}."
        yield Finding(check, text, lost, numbers={"rows_without_parent": total})


def _orphans(
    lake: Lake,
    table: Table,
    rows: DataFrame,
    reference: Reference,
    parent_selection: Selection,
) -> DataFrame:
    """Return the rows whose reference does not exist."""
    parent = lake.registry.meant_by(table, reference.to_table)
    targets = lake.read(
        parent, parent_selection if parent.partition else None, columns=reference.to_columns
    ).select(*[F.col(c).alias(f"parent_{c}") for c in reference.to_columns])
    condition = F.lit(True)
    present = F.lit(True)
    for column, target in zip(reference.columns, reference.to_columns, strict=True):
        condition = condition & (F.col(column) == F.col(f"parent_{target}"))
        present = present & F.col(column).isNotNull()
    return rows.filter(present).join(targets, condition, "left_anti")


def _counts(lake: Lake, frames: Sequence[DataFrame], part: str | None) -> list[dict[str, int]]:
    """Count the rows of frames by partition, in one query: on Spark each costs half a second."""
    names = ("place", "part")
    counts = [
        frame.select(
            F.lit(place).alias("place"),
            (F.col(part).cast("string") if part else F.lit("")).alias("part"),
        )
        .groupBy(*names)
        .agg(F.count(F.lit(1)).alias("n"))
        for place, frame in enumerate(frames)
    ]
    found: list[dict[str, int]] = [{} for _ in frames]
    for row in lake.engine.rows(lake.engine.union(counts)):
        found[row["place"]][row["part"]] = int(row["n"])
    return found
