"""Sorting rows into kept, quarantined and duplicate.

Belongs here: applying expectations, deterministic deduplication, and the frames that result. Not
here: the expectations, and writing. Pure functions; every row that goes in comes out once.
"""

from __future__ import annotations

from collections.abc import Sequence

from lakehouse_assets.engine import Col, DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.ingest.datasets import Dataset, quarantine_table
from lakehouse_assets.quality.expectations import Expectation

KEPT = "kept"
QUARANTINED = "quarantined"
DUPLICATE = "duplicate"


def classify(
    typed: DataFrame,
    expectations: Sequence[Expectation],
    key: str,
    newest_delivery_first: bool,
    within: str | None = None,
) -> DataFrame:
    """Give each row its disposition.

    A row that fails a `drop` expectation is quarantined with all the reasons that apply. Of the
    others, the first per key is kept: by delivery day (newest first if asked), then file, then row.

    Args:
        typed: Typed rows with their provenance columns.
        expectations: What rows must fulfil.
        key: Column that identifies a row.
        newest_delivery_first: Whether a later delivery replaces an earlier one.
        within: Column that keeps keys apart: the partition column of a table of states, where
            each partition has its own row per key.

    Returns:
        The rows with `reasons`, `disposition` and `duplicate_of` (`<file>#<row>` of the kept row).
    """
    drops = [e for e in expectations if e.action == "drop"]
    failed = [F.when(~_holds(e), F.lit(e.name)) for e in drops]
    # An array needs an element to have a type, so there is always one that says nothing.
    reasons = F.array_compact(F.array(*failed, F.lit(None).cast("string")))
    trusted = F.size(F.col("reasons")) == F.lit(0)
    day = F.col("delivered_on")
    order = W.partitionBy(trusted, key, *([within] if within else [])).orderBy(
        day.desc_nulls_last() if newest_delivery_first else day.asc_nulls_last(),
        F.col("_source_file").asc_nulls_last(),
        F.col("_row_number").asc_nulls_last(),
    )
    judged = v.staged(v.staged(typed).select(*typed.columns, reasons.alias("reasons")))
    frame = judged.select(
        *judged.columns,
        trusted.alias("trusted"),
        F.row_number().over(order).alias("place"),
        F.first(_address()).over(order).alias("first_of_key"),
    )
    repeated = F.col("trusted") & (F.col("place") > F.lit(1))
    return frame.select(
        *typed.columns,
        "reasons",
        F.when(~F.col("trusted"), F.lit(QUARANTINED))
        .when(repeated, F.lit(DUPLICATE))
        .otherwise(F.lit(KEPT))
        .alias("disposition"),
        F.when(repeated, F.col("first_of_key")).alias("duplicate_of"),
    )


def mark_delivered_before(classified: DataFrame, earlier: DataFrame, key: str) -> DataFrame:
    """Turn kept rows whose key an earlier delivery already brought into named duplicates.

    Args:
        classified: Result of `classify`.
        earlier: Kept rows of earlier deliveries: the key and their provenance.
        key: Column that identifies a row.
    """
    known = earlier.select(F.col(key).alias("known_key"), _address().alias("known_address"))
    joined = classified.join(known, F.col(key) == F.col("known_key"), "left")
    repeated = (F.col("disposition") == F.lit(KEPT)) & F.col("known_key").isNotNull()
    names = [c for c in classified.columns if c not in {"disposition", "duplicate_of"}]
    return joined.select(
        *names,
        F.when(repeated, F.lit(DUPLICATE)).otherwise(F.col("disposition")).alias("disposition"),
        F.when(repeated, F.col("known_address"))
        .otherwise(F.col("duplicate_of"))
        .alias("duplicate_of"),
    )


def kept(classified: DataFrame, columns: Sequence[str]) -> DataFrame:
    """Return the rows that silver takes."""
    return classified.filter(F.col("disposition") == F.lit(KEPT)).select(*columns)


def set_aside(classified: DataFrame, dataset: Dataset) -> DataFrame:
    """Return the rows that silver does not take, as they were delivered."""
    fields = {c.name for c in dataset.fields}
    return classified.filter(F.col("disposition") != F.lit(KEPT)).select(
        *[
            F.col(f"raw_{name}").alias(name) if name in fields else F.col(name)
            for name in quarantine_table(dataset).column_names
        ]
    )


def violations(classified: DataFrame, expectations: Sequence[Expectation]) -> DataFrame:
    """Count, in one row, how many rows fail each expectation.

    `drop` expectations are counted over all rows, the others over the rows that are kept.
    """
    is_kept = F.col("disposition") == F.lit(KEPT)
    return classified.agg(
        *[
            F.count(
                F.when(~_holds(e) if e.action == "drop" else is_kept & ~_holds(e), F.lit(1))
            ).alias(e.name)
            for e in expectations
        ],
        F.count(F.lit(1)).alias("all_rows"),
    )


def _holds(expectation: Expectation) -> Col:
    return F.coalesce(expectation.condition(), F.lit(False))


def _address() -> Col:
    return F.concat(F.col("_source_file"), F.lit("#"), F.col("_row_number").cast("string"))
