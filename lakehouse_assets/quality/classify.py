"""Classifies rows as accepted, quarantined or duplicate, and finds the days that this outdates.

Pure functions; `classify` gives every row its place exactly once.

When several days deliver an id, the earliest day keeps it. When an earlier day is loaded after a
later one, or is corrected, the later day is out of date in one of two ways: it keeps an id that the
earlier day now has too, or it names a row as the duplicate of one that is no longer accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from lakehouse_assets.catalog.datasets import Dataset, quarantine_table
from lakehouse_assets.catalog.expectations import Expectation
from lakehouse_assets.engine import Col, DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v

ACCEPTED = "accepted"
QUARANTINED = "quarantined"
DUPLICATE = "duplicate"


def apply_expectations(typed: DataFrame, expectations: Sequence[Expectation]) -> DataFrame:
    """Add `reasons` to typed rows: the names of all `drop` expectations that a row fails."""
    drops = [e for e in expectations if e.action == "drop"]
    failed = [F.when(~_holds(e), F.lit(e.name)) for e in drops]
    # The null element, which array_compact removes, gives an empty array its type.
    reasons = F.array_compact(F.array(*failed, F.lit(None).cast("string")))
    return v.staged(typed).select(*typed.columns, reasons.alias("reasons"))


def duplicates_within(
    evaluated: DataFrame, key: str, newest_delivery_first: bool, within: str | None = None
) -> DataFrame:
    """Find the rows without reasons that are not the first of their key.

    Files are ordered by delivery day and, within a day, by name, compared as text. For events the
    first file counts, for states the last; within a file, which describes one moment, the first row
    counts. Arrival times are ignored: they differ in a copied zone, and the same deliveries must
    give the same rows.

    Only keys that occur more than once are sorted: they are few, and sorting is the expensive part.

    Args:
        evaluated: Result of `apply_expectations`.
        key: Column that identifies a row.
        newest_delivery_first: Whether a later delivery replaces an earlier one (states).
        within: Column within which a key identifies a row: the partition column of a table of
            states, where each partition has its own row per key.

    Returns:
        `repeated_file`, `repeated_row`, and `duplicate_of`: `<file>#<row>` of the key's first row.
    """
    identity = [key, *([within] if within else [])]
    trusted = evaluated.filter(_trusted()).select(
        *identity,
        *[c for c in ("delivered_on", "_source_file", "_row_number") if c not in identity],
    )
    repeated = (
        trusted.groupBy(*identity)
        .agg(F.count(F.lit(1)).alias("occurrences"))
        .filter(F.col("occurrences") > F.lit(1))
        .select(*[F.col(name).alias(f"repeated_{name}") for name in identity])
    )
    same = F.lit(True)
    for name in identity:
        same = same & F.col(name).eqNullSafe(F.col(f"repeated_{name}"))
    files = [F.col("delivered_on"), F.col("_source_file")]
    order = W.partitionBy(*identity).orderBy(
        *[f.desc_nulls_last() if newest_delivery_first else f.asc_nulls_last() for f in files],
        F.col("_row_number").asc_nulls_last(),
    )
    ranked = trusted.join(repeated, same, "left_semi").select(
        F.col("_source_file").alias("repeated_file"),
        F.col("_row_number").alias("repeated_row"),
        F.row_number().over(order).alias("place"),
        F.first(_address()).over(order).alias("duplicate_of"),
    )
    return ranked.filter(F.col("place") > F.lit(1)).drop("place")


def duplicates_of_earlier(candidates: DataFrame, earlier: DataFrame, key: str) -> DataFrame:
    """Find the rows whose key an earlier delivery already brought.

    Args:
        candidates: Rows to look up: their key and provenance.
        earlier: Accepted rows of earlier deliveries: the key and provenance. A key may occur on two
            days, until the day that a late one put out of date runs again.
        key: Column that identifies a row.

    Returns:
        As for `duplicates_within`, and `last_file`: the last of the files that brought the key.
    """
    known = earlier.select(
        F.col(key).alias("known_key"),
        F.col("_source_file").alias("known_file"),
        _address().alias("known_address"),
    )
    found = candidates.join(known, F.col(key) == F.col("known_key"), "inner")
    # Files sort by their delivery day, so the lowest address is the earliest.
    return found.groupBy(
        F.col("_source_file").alias("repeated_file"), F.col("_row_number").alias("repeated_row")
    ).agg(F.min("known_address").alias("duplicate_of"), F.max("known_file").alias("last_file"))


def resolve_duplicate_chain(within: DataFrame, of_earlier: DataFrame) -> DataFrame:
    """Point duplicates to the accepted row, where the batch's first row is a duplicate itself.

    Args:
        within: Duplicates within the batch, as from `duplicates_within`.
        of_earlier: First rows of the batch whose key an earlier delivery already brought.

    Returns:
        `within` with the final `duplicate_of`.
    """
    first = of_earlier.select(
        F.concat(F.col("repeated_file"), F.lit("#"), F.col("repeated_row").cast("string")).alias(
            "first_address"
        ),
        F.col("duplicate_of").alias("kept_address"),
    )
    return within.join(first, F.col("duplicate_of") == F.col("first_address"), "left").select(
        "repeated_file",
        "repeated_row",
        F.coalesce(F.col("kept_address"), F.col("duplicate_of")).alias("duplicate_of"),
    )


def final_versions(history: DataFrame, key: str, version: str, partition: str) -> DataFrame:
    """Find which delivery of each row counts when later deliveries correct earlier ones.

    The value that was delivered last counts, at the delivery that introduced it. Unchanged repeats
    of it are duplicates of that delivery, and so are the values that it replaced. The result does
    not depend on the order of arrival.

    Args:
        history: Result of `apply_expectations` on all deliveries.
        key: Column that identifies a row.
        version: Column that is the same for equal values of a row.
        partition: Column of the day or month of delivery.

    Returns:
        For each row without reasons: `repeated_file`, `repeated_row`, the partition column, its own
        `address`, and `duplicate_of`: the address of the row that counts.
    """
    order = [F.col(c) for c in ("delivered_on", "_source_file", "_row_number")]
    of_key = W.partitionBy(key)
    trusted = v.staged(history.filter(_trusted()))
    numbered = trusted.select(
        key,
        version,
        partition,
        F.col("_source_file").alias("repeated_file"),
        F.col("_row_number").alias("repeated_row"),
        _address().alias("address"),
        F.row_number().over(of_key.orderBy(*[c.asc_nulls_last() for c in order])).alias("place"),
        F.first(version)
        .over(of_key.orderBy(*[c.desc_nulls_last() for c in order]))
        .alias("final_version"),
    )
    numbered = v.staged(numbered)
    changed = F.when(F.col(version) != F.col("final_version"), F.col("place"))
    numbered = v.staged(
        numbered.select(
            *numbered.columns, F.coalesce(F.max(changed).over(of_key), F.lit(0)).alias("before")
        )
    )
    counts = F.when(F.col("place") == F.col("before") + F.lit(1), F.col("address"))
    return numbered.select(
        "repeated_file",
        "repeated_row",
        partition,
        "address",
        F.max(counts).over(of_key).alias("duplicate_of"),
    )


def classify(evaluated: DataFrame, duplicates: DataFrame) -> DataFrame:
    """Give each row its disposition: quarantined with reasons, a named duplicate, or accepted.

    Args:
        evaluated: Result of `apply_expectations`.
        duplicates: Results of the functions above, with each row at most once.

    Returns:
        The rows with `reasons`, `disposition` and `duplicate_of`.
    """
    same = (F.col("_source_file") == F.col("repeated_file")) & (
        F.col("_row_number") == F.col("repeated_row")
    )
    return evaluated.join(duplicates, same, "left").select(
        *evaluated.columns,
        F.when(~_trusted(), F.lit(QUARANTINED))
        .when(F.col("repeated_row").isNotNull(), F.lit(DUPLICATE))
        .otherwise(F.lit(ACCEPTED))
        .alias("disposition"),
        "duplicate_of",
    )


def accepted_rows(classified: DataFrame, columns: Sequence[str]) -> DataFrame:
    """Return the accepted rows with the given columns."""
    return classified.filter(F.col("disposition") == F.lit(ACCEPTED)).select(*columns)


def quarantined_rows(classified: DataFrame, dataset: Dataset) -> DataFrame:
    """Return the rows that were not accepted, as rows of the quarantine with the delivered text."""
    fields = {c.name for c in dataset.fields}
    return classified.filter(F.col("disposition") != F.lit(ACCEPTED)).select(
        *[
            F.col(f"raw_{name}").alias(name) if name in fields else F.col(name)
            for name in quarantine_table(dataset).column_names
        ]
    )


def repeats_that_differ(
    classified: DataFrame, kept: DataFrame, values: Sequence[str], dataset: Dataset
) -> DataFrame:
    """Count, by partition, the duplicates with other values than the row that counts.

    For states, only rows of the same file count: a later delivery may have other values.

    Args:
        classified: Result of `classify`.
        kept: The rows that count: their values and provenance.
        values: Columns to compare.
        dataset: The dataset.

    Returns:
        The partition column and `n`.
    """
    partition = dataset.partition.column
    again = classified.filter(F.col("disposition") == F.lit(DUPLICATE))
    counts = kept.select(
        _address().alias("kept_address"),
        F.col("_source_file").alias("kept_file"),
        *[F.col(name).alias(f"kept_{name}") for name in values],
    )
    differs = F.lit(False)
    for name in values:
        differs = differs | ~F.col(name).eqNullSafe(F.col(f"kept_{name}"))
    if dataset.counts == "latest":
        differs = differs & (F.col("_source_file") == F.col("kept_file"))
    found = again.join(counts, F.col("duplicate_of") == F.col("kept_address"), "inner")
    return found.filter(differs).groupBy(partition).agg(F.count(F.lit(1)).alias("n"))


def violations(
    classified: DataFrame, expectations: Sequence[Expectation], partition: str
) -> DataFrame:
    """Count, in one row per partition, how many rows fail each expectation.

    `drop` expectations are counted over all rows, the others over the accepted rows.
    """
    is_accepted = F.col("disposition") == F.lit(ACCEPTED)
    return classified.groupBy(partition).agg(
        *[
            F.count(
                F.when(~_holds(e) if e.action == "drop" else is_accepted & ~_holds(e), F.lit(1))
            ).alias(e.name)
            for e in expectations
        ],
        F.count(F.lit(1)).alias("all_rows"),
    )


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
    # ISO dates sort as text.
    delivered = _day_of_repeated(dataset)
    return quarantine.filter(
        (F.col("disposition") == F.lit(DUPLICATE))
        & (delivered >= F.lit(first.isoformat()))
        & (delivered < F.lit(end.isoformat()))
    )


def _day_of_repeated(dataset: Dataset) -> Col:
    # An address begins with <domain>/<dataset>/<day>/.
    return F.substring(F.col("duplicate_of"), len(dataset.path) + 2, 10)


def days_of_repeated(classified: DataFrame, dataset: Dataset) -> DataFrame:
    """Return the days of the rows whose ids duplicates repeat, as text, in `day`."""
    duplicates = classified.filter(F.col("disposition") == F.lit(DUPLICATE))
    return duplicates.select(_day_of_repeated(dataset).alias("day")).distinct()


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
    known = accepted.select(F.col(key).alias("known_key"), _address().alias("known_address"))
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
    address = _address()
    wanted = final.select(day, "address", F.col("duplicate_of").alias("counts"))
    duplicates = quarantine.filter(F.col("disposition") == F.lit(DUPLICATE))
    stored = accepted.select(day, address.alias("address"), address.alias("counts")).unionByName(
        duplicates.select(day, address.alias("address"), F.col("duplicate_of").alias("counts"))
    )
    both = wanted.withColumn("n", F.lit(1)).unionByName(stored.withColumn("n", F.lit(-1)))
    sums = both.groupBy("day", "address", "counts").agg(F.sum("n").alias("n"))
    return sums.filter(F.col("n") != F.lit(0)).select("day").distinct()


def _holds(expectation: Expectation) -> Col:
    return F.coalesce(expectation.condition(), F.lit(False))


def _trusted() -> Col:
    return F.size(F.col("reasons")) == F.lit(0)


def _address() -> Col:
    return F.concat(F.col("_source_file"), F.lit("#"), F.col("_row_number").cast("string"))
