"""Finds the later days that a late day makes out of date.

When several days deliver an id, the earliest day keeps it. When an earlier day is loaded after a
later one, or is corrected, the later day is out of date in one of two ways: it keeps an id that the
earlier day now has too, or it names a row as the duplicate of one that is no longer accepted.
"""

from __future__ import annotations

from datetime import date

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.engine import DataFrame, F


def accepted_twice(accepted: DataFrame, later: DataFrame, key: str, dataset: Dataset) -> DataFrame:
    """Find the later days that keep an id that the loaded days keep too.

    Args:
        accepted: Accepted rows of the loaded days: the key, once each.
        later: Accepted rows of later days: the key and the day.
        key: Column that identifies a row.
        dataset: The dataset.

    Returns:
        The days, in `day`.
    """
    known = accepted.select(F.col(key).alias("known_key"))
    day = F.col(dataset.partition.column).alias("day")
    return later.join(known, F.col(key) == F.col("known_key"), "left_semi").select(day).distinct()


def duplicates_of(quarantine: DataFrame, dataset: Dataset, first: date, end: date) -> DataFrame:
    """Find the rows of later days that are duplicates of rows of the loaded days.

    Args:
        quarantine: Quarantine rows of later days.
        dataset: The dataset.
        first: First of the loaded days.
        end: The day after the last of them.
    """
    # An address begins with <domain>/<dataset>/<day>/, and ISO dates sort as text.
    delivered = F.substring(F.col("duplicate_of"), len(dataset.path) + 2, 10)
    return quarantine.filter(
        (F.col("disposition") == F.lit("duplicate"))
        & (delivered >= F.lit(first.isoformat()))
        & (delivered < F.lit(end.isoformat()))
    )


def days_with_stale_duplicates(
    accepted: DataFrame, named: DataFrame, typed: DataFrame, key: str, dataset: Dataset
) -> DataFrame:
    """Find the later days with duplicates of a row that the loaded days no longer accept.

    Args:
        accepted: Accepted rows of the loaded days, with their provenance.
        named: Result of `duplicates_of`.
        typed: The same rows, typed: their key and provenance.
        key: Column that identifies a row.
        dataset: The dataset.

    Returns:
        The days, in `day`.
    """
    keys = typed.select(
        F.col(key).alias("own_key"),
        F.col("_source_file").alias("own_file"),
        F.col("_row_number").alias("own_row"),
    )
    same_row = (F.col("_source_file") == F.col("own_file")) & (
        F.col("_row_number") == F.col("own_row")
    )
    own = named.join(keys, same_row, "inner").select(
        "own_key", "duplicate_of", F.col(dataset.partition.column).alias("day")
    )
    address = F.concat(F.col("_source_file"), F.lit("#"), F.col("_row_number").cast("string"))
    known = accepted.select(F.col(key).alias("known_key"), address.alias("known_address"))
    same = (F.col("own_key") == F.col("known_key")) & (
        F.col("duplicate_of") == F.col("known_address")
    )
    return own.join(known, same, "left_anti").select("day").distinct()


def misclassified_days(
    final: DataFrame, accepted: DataFrame, quarantine: DataFrame, partition: str
) -> DataFrame:
    """Find the days whose stored rows are not classified as all deliveries together require.

    Args:
        final: Result of `final_versions`.
        accepted: Stored silver rows: the partition column and provenance.
        quarantine: Stored quarantine rows: the same, `disposition` and `duplicate_of`.
        partition: Column of the delivery day.

    Returns:
        The days, in `day`.
    """
    day = F.col(partition).alias("day")
    address = F.concat(F.col("_source_file"), F.lit("#"), F.col("_row_number").cast("string"))
    wanted = final.select(day, "address", F.col("duplicate_of").alias("counts"))
    duplicates = quarantine.filter(F.col("disposition") == F.lit("duplicate"))
    stored = accepted.select(day, address.alias("address"), address.alias("counts")).unionByName(
        duplicates.select(day, address.alias("address"), F.col("duplicate_of").alias("counts"))
    )
    both = wanted.withColumn("n", F.lit(1)).unionByName(stored.withColumn("n", F.lit(-1)))
    sums = both.groupBy("day", "address", "counts").agg(F.sum("n").alias("n"))
    return sums.filter(F.col("n") != F.lit(0)).select("day").distinct()
