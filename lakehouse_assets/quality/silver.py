"""Turns the bronze rows of any dataset into its silver table and its quarantine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TypeAlias

from lakehouse_assets.catalog.datasets import (
    Dataset,
    bronze_table,
    quarantine_table,
    silver_table,
)
from lakehouse_assets.catalog.expectations import Expectation
from lakehouse_assets.clock import following
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.ingest.reader import partition_value
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Values, Windows, between, to_filter
from lakehouse_assets.quality.batches import Batch, plan_batch
from lakehouse_assets.quality.checks import Check, Finding
from lakehouse_assets.quality.classify import (
    ACCEPTED,
    DUPLICATE,
    QUARANTINED,
    accepted_rows,
    accepted_twice,
    apply_expectations,
    classify,
    days_of_repeated,
    days_with_stale_duplicates,
    duplicates_of,
    duplicates_of_earlier,
    duplicates_within,
    final_versions,
    misclassified_days,
    quarantined_rows,
    repeats_that_differ,
    resolve_duplicate_chain,
    violations,
)
from lakehouse_assets.quality.conservation import Balance
from lakehouse_assets.quality.fields import expectations_of, typed_rows
from lakehouse_assets.quality.losses import Loss, check_losses, losses_check
from lakehouse_assets.text import counted

VERSION = "version"
_REASONS = 3
_CONSERVED = Check(
    "bronze_rows_are_conserved",
    "Bronze rows equal silver rows plus quarantined rows plus duplicates.",
    blocking=True,
)
_OTHER_DAYS = Check(
    "later_days_agree",
    "No other stored day keeps an id that this run's days now keep, or refers to a row that they "
    "no longer accept.",
)
_REPEATS_AGREE = Check(
    "repeated_ids_agree",
    "Rows that repeat an id have the values of the row that counts; others are duplicates, too, "
    "and reported.",
)
# First of a run's partitions, and the one after the last.
Span: TypeAlias = tuple[date, date]


@dataclass(frozen=True)
class Cleaned:
    """The result of cleaning the bronze rows of a run's partitions.

    Attributes:
        accepted: Rows of the silver table.
        quarantined: Rows of the quarantine.
        files: Files whose rows these are, and are replaced; None for all rows of the partitions.
        outdated: Other partitions that the run makes out of date.
        failing: By partition, how many rows fail each expectation, and `all_rows`.
        dispositions: Number of rows, by disposition and partition.
        state: Record of the build for the commits.
    """

    accepted: DataFrame
    quarantined: DataFrame
    files: Values | None
    outdated: Sequence[date]
    failing: Mapping[date, Mapping[str, int]]
    dispositions: Mapping[str, Mapping[date, int]]
    state: str


class _ReplacesKeptRowError(Exception):
    """A row of a new file replaces one that silver has."""


def clean(
    dataset: Dataset,
    lake: Lake,
    bronze: DataFrame,
    earlier: DataFrame | None,
    span: Span,
) -> Cleaned:
    """Type bronze rows and divide them into silver and quarantine.

    If a partition only has new files, only their rows are cleaned, unless one of them replaces a
    row that silver has. The counts are always those of whole partitions.

    Args:
        dataset: The dataset.
        lake: Where its tables are stored.
        bronze: Bronze rows of the run's partitions.
        earlier: For a dataset whose first delivery counts, the silver rows of earlier partitions.
        span: First of the run's partitions, and the one after the last.
    """
    batch = plan_batch(dataset, lake, bronze, earlier, span)
    if batch.files:
        with suppress(_ReplacesKeptRowError):
            return _clean(dataset, lake, bronze, earlier, span, batch)
    return _clean(dataset, lake, bronze, earlier, span, Batch(batch.build))


def _clean(
    dataset: Dataset,
    lake: Lake,
    bronze: DataFrame,
    earlier: DataFrame | None,
    span: Span,
    batch: Batch,
) -> Cleaned:
    """Clean the rows of a batch.

    Raises:
        _ReplacesKeptRowError: a row of the batch replaces one that silver has.
    """
    engine, column = lake.engine, dataset.partition.column
    expectations = expectations_of(dataset)
    read = bronze.filter(to_filter(batch.files)) if batch.files else bronze
    evaluated = engine.checkpoint(
        apply_expectations(typed_rows(dataset, engine, read), expectations)
    )
    final = None
    if dataset.counts == "corrected":
        version = engine.versions_read(bronze).get(bronze_table(dataset).identifier)
        history = typed_rows(dataset, engine, lake.read(bronze_table(dataset), version=version))
        history = apply_expectations(with_version(dataset, history), expectations)
        final = engine.checkpoint(final_versions(history, dataset.key, VERSION, column))
        duplicates = final.filter(F.col("address") != F.col("duplicate_of")).select(
            "repeated_file", "repeated_row", "duplicate_of"
        )
    else:
        apart = column if dataset.counts == "latest" else None
        duplicates = engine.checkpoint(
            duplicates_within(evaluated, dataset.key, dataset.counts == "latest", apart)
        )
    known, reused = [], []
    if earlier is not None:
        # For a run over many days, `earlier` includes the run's own days as they were stored last
        # time, which says nothing about the deliveries before the run.
        known.append(earlier.filter(F.col(column) < F.lit(span[0])))
    if batch.files:
        names = [dataset.key, "_source_file", "_row_number", column]
        reused.append(lake.read(silver_table(dataset), between(dataset.partition, *span), names))
    if known or reused:
        duplicates = _with_delivered_before(
            dataset, lake, evaluated, duplicates, engine.union([*known, *reused])
        )
    rows = engine.stage(classify(evaluated, duplicates))
    if final is not None:
        outdated = _misclassified_partitions(lake, dataset, final, span)
    elif earlier is not None:
        accepted = rows.filter(F.col("disposition") == F.lit(ACCEPTED))
        columns = [dataset.key, "_source_file", "_row_number"]
        whole = engine.union([frame.select(*columns) for frame in (accepted, *reused)])
        outdated = _later_partitions_out_of_date(lake, dataset, whole, span)
    else:
        outdated = []
    failing = {
        row.pop(column): Counter(row) for row in engine.rows(violations(rows, expectations, column))
    }
    dispositions: dict[str, Counter[date]] = {
        name: Counter() for name in (ACCEPTED, QUARANTINED, DUPLICATE)
    }
    counted = rows.groupBy(column, "disposition").agg(F.count(F.lit(1)).alias("n"))
    for row in engine.rows(counted):
        dispositions[row["disposition"]][row[column]] = int(row["n"])
    if _repeats_should_agree(dataset) and dispositions[DUPLICATE]:
        for day, number in _repeats_that_differ(dataset, lake, rows, earlier, batch, span).items():
            failing[day][_REPEATS_AGREE.name] = number
    return Cleaned(
        accepted_rows(rows, silver_table(dataset).column_names),
        quarantined_rows(rows, dataset),
        batch.files,
        outdated,
        failing,
        dispositions,
        _with_rows_before(dataset, lake, batch, span[0], failing, dispositions),
    )


def _with_rows_before(
    dataset: Dataset,
    lake: Lake,
    batch: Batch,
    partition: date,
    failing: Mapping[date, Counter[str]],
    dispositions: Mapping[str, Counter[date]],
) -> str:
    """Add the numbers of the rows that stay to those of a batch; return the build's record."""
    if batch.build is None:
        return ""
    quarantined = dispositions[QUARANTINED][partition] + dispositions[DUPLICATE][partition]
    if batch.before is not None:
        failing[partition].update(batch.before.failing)
        for name, number in batch.before.dispositions.items():
            dispositions[name][partition] += number
    else:
        quarantined += lake.rows_by_partition(quarantine_table(dataset)).get(partition, 0)
    return replace(
        batch.build,
        quarantine_kept=not quarantined,
        failing=failing.get(partition, {}),
        dispositions={name: counts[partition] for name, counts in dispositions.items()},
    ).text()


def silver_checks(dataset: Dataset) -> list[Check]:
    """Return the checks of a dataset's silver table."""
    return [
        _CONSERVED,
        *map(_expectation_check, expectations_of(dataset)),
        *([_OTHER_DAYS] if dataset.counts != "latest" else []),
        *([_REPEATS_AGREE] if _repeats_should_agree(dataset) else []),
        losses_check(dataset.quarantined, "quarantined"),
    ]


def check_silver(
    dataset: Dataset, lake: Lake, cleaned: Cleaned, incoming: Mapping[date, int], span: Span
) -> Iterator[Finding]:
    """Run the checks of a dataset's silver table once its rows and its quarantine are stored.

    Args:
        dataset: The dataset.
        lake: Where they are stored.
        cleaned: Result of `clean`.
        incoming: Bronze rows that were read, by partition.
        span: First of the run's partitions, and the one after the last.
    """
    yield _balance(dataset, lake, cleaned, incoming, span).finding(_CONSERVED)
    expectations = expectations_of(dataset)
    done = {"warn": "kept and reported", "drop": "moved to quarantine", "fail": "downstream stops"}
    rows = {day: row["all_rows"] for day, row in sorted(cleaned.failing.items())}
    for expectation in expectations:
        failing = {day: cleaned.failing[day][expectation.name] for day in rows}
        number, total = sum(failing.values()), sum(rows.values())
        yield Finding(
            _expectation_check(expectation),
            f"{number:,} of {counted(total, 'row')} failed: {done[expectation.action]}.",
            failing,
            rows,
            {"failing_rows": number, "rows": total, "action": expectation.action},
        )
    if dataset.counts != "latest":
        yield _other_days(cleaned.outdated)
    if _repeats_should_agree(dataset):
        differing = {day: cleaned.failing[day][_REPEATS_AGREE.name] for day in rows}
        number = sum(differing.values())
        where = f"; see duplicate_of in {quarantine_table(dataset).name}" if number else ""
        text = f"{counted(number, 'duplicate')} with other values than the row that counts{where}."
        yield Finding(_REPEATS_AGREE, text, differing)
    lost = cleaned.dispositions[QUARANTINED]
    losses = {day: Loss(lost[day], number) for day, number in rows.items()}
    drops = [e.name for e in expectations if e.action == "drop"]
    reasons = {day: _most_frequent(row, drops) for day, row in cleaned.failing.items()}
    yield check_losses(dataset, "quarantined", losses, lambda _days: reasons)


def _expectation_check(expectation: Expectation) -> Check:
    description = f"{expectation.description} ({expectation.action})"
    return Check(expectation.name, description, blocking=expectation.action == "fail")


def _most_frequent(row: Mapping[str, int], names: Sequence[str]) -> list[tuple[str, int]]:
    """Return the expectations that quarantined the most rows."""
    found = sorted(names, key=lambda name: (-row[name], name))[:_REASONS]
    return [(name, row[name]) for name in found if row[name]]


def _other_days(outdated: Sequence[date]) -> Finding:
    named = ", ".join(day.isoformat() for day in outdated)
    return Finding(
        _OTHER_DAYS,
        (
            f"This delivery makes other days out of date: {named}. `lakehouse run` and the sensor "
            "late_deliveries rebuild them; otherwise, materialise these days."
        )
        if outdated
        else "No other day is out of date.",
        # The next run of each day checks it again.
        dict.fromkeys(outdated, 1),
        numbers={"days": len(outdated)},
    )


def _repeats_should_agree(dataset: Dataset) -> bool:
    """Return whether rows with the same id are meant to be the same: the source gives the id."""
    by_source = any(c.name == dataset.key and not c.derived for c in dataset.columns)
    return by_source and dataset.counts != "corrected" and not dataset.documents


def _repeats_that_differ(
    dataset: Dataset,
    lake: Lake,
    rows: DataFrame,
    earlier: DataFrame | None,
    batch: Batch,
    span: Span,
) -> dict[date, int]:
    """Count the duplicates with other values than the row that counts, which may be stored."""
    engine, table = lake.engine, silver_table(dataset)
    values = [c.name for c in dataset.columns if c.stored and c.name != dataset.key]
    names = [*values, "_source_file", "_row_number"]
    kept = [rows.filter(F.col("disposition") == F.lit(ACCEPTED)).select(*names)]
    if earlier is not None:
        found = engine.rows(days_of_repeated(rows, dataset))
        parts = {partition_value(dataset, date.fromisoformat(row["day"])) for row in found}
        # Those of the run itself are stored only if just new files are cleaned.
        stored = sorted(p for p in parts if p < span[0] or batch.files)
        if stored:
            spans = tuple((part, following(part, dataset.grain)) for part in stored)
            version = engine.versions_read(earlier).get(table.identifier)
            selection = Windows(dataset.partition, spans)
            kept.append(lake.read(table, selection, names, version).select(*names))
    differing = engine.rows(repeats_that_differ(rows, engine.union(kept), values, dataset))
    return {row[dataset.partition.column]: int(row["n"]) for row in differing}


def _balance(
    dataset: Dataset, lake: Lake, cleaned: Cleaned, incoming: Mapping[date, int], span: Span
) -> Balance:
    """Balance the stored tables; computed duplicates divide the quarantine into its two kinds."""
    quarantine = lake.rows_by_partition(quarantine_table(dataset))
    duplicates = cleaned.dispositions[DUPLICATE]
    return Balance(
        source="bronze",
        incoming=incoming,
        parts={
            "silver": lake.rows_by_partition(silver_table(dataset)),
            "quarantined": {p: n - duplicates.get(p, 0) for p, n in quarantine.items()},
            "named duplicates": duplicates,
        },
        partitions=sorted(p for p in {*incoming, *quarantine} if span[0] <= p < span[1]),
    )


def with_version(dataset: Dataset, rows: DataFrame) -> DataFrame:
    """Add `version` to typed rows: a hash that is the same for equal values of a row."""
    values = [c.name for c in dataset.columns if c.stored and c.name != dataset.key]
    version = v.hash_key(*[F.col(name) for name in values])
    return v.staged(rows).select(*rows.columns, version.alias(VERSION))


def _later_partitions_out_of_date(
    lake: Lake, dataset: Dataset, accepted: DataFrame, span: Span
) -> list[date]:
    """Find the later partitions that the run makes out of date; none if its days are the newest.

    Args:
        lake: Where the tables are stored.
        dataset: The dataset.
        accepted: All accepted rows of the run's partitions: the key and provenance.
        span: First of the run's partitions, and the one after the last.
    """
    table, quarantine = silver_table(dataset), quarantine_table(dataset)
    column, (first, end) = dataset.partition.column, span
    stored = [*lake.rows_by_partition(table), *lake.rows_by_partition(quarantine)]
    newest = max((day for day in stored if day >= end), default=None)
    if newest is None:
        return []
    later = between(dataset.partition, end, newest + timedelta(days=1))
    accepted_later = lake.read(table, later, [dataset.key, column])
    named = duplicates_of(lake.read(quarantine, later), dataset, first, end)
    of_bronze = (*dataset.fields, *dataset.lineage)
    again = typed_rows(dataset, lake.engine, named.select(*[c.name for c in of_bronze]))
    found = lake.engine.union(
        [
            accepted_twice(accepted, accepted_later, dataset.key, dataset),
            days_with_stale_duplicates(accepted, named, again, dataset.key, dataset),
        ]
    )
    return sorted({row["day"] for row in lake.engine.rows(found)})


def _misclassified_partitions(
    lake: Lake, dataset: Dataset, final: DataFrame, span: Span
) -> list[date]:
    """Find the stored partitions, except the run's own, that its deliveries make out of date."""
    table, quarantine = silver_table(dataset), quarantine_table(dataset)
    columns = [dataset.partition.column, "_source_file", "_row_number"]
    found = misclassified_days(
        final,
        lake.read(table, columns=columns),
        lake.read(quarantine, columns=[*columns, "disposition", "duplicate_of"]),
        dataset.partition.column,
    )
    stored = {*lake.rows_by_partition(table), *lake.rows_by_partition(quarantine)}
    days = {row["day"] for row in lake.engine.rows(found)}
    return sorted(day for day in days & stored if not span[0] <= day < span[1])


def _with_delivered_before(
    dataset: Dataset, lake: Lake, evaluated: DataFrame, duplicates: DataFrame, earlier: DataFrame
) -> DataFrame:
    """Add the rows whose keys silver already holds to the duplicates.

    The batch's lowest and highest key become a filter on the history. Where keys rise with time,
    file statistics then skip most of its files.

    Raises:
        _ReplacesKeptRowError: a row of the batch replaces one that silver has.
    """
    engine, key = lake.engine, dataset.key
    batch = (
        classify(evaluated, duplicates)
        .filter(F.col("disposition") == F.lit(ACCEPTED))
        .select(key, "_source_file", "_row_number")
    )
    bounds = engine.rows(batch.agg(F.min(key).alias("lowest"), F.max(key).alias("highest")))[0]
    if bounds["lowest"] is None:
        return duplicates
    candidates = earlier.filter(
        (F.col(key) >= F.lit(bounds["lowest"])) & (F.col(key) <= F.lit(bounds["highest"]))
    )
    found = engine.checkpoint(duplicates_of_earlier(batch, candidates, key))
    if dataset.counts == "first":
        # Files sort by delivery day; within a day, a new file may sort before one that is kept.
        replaced = found.filter(F.col("last_file") > F.col("repeated_file"))
    else:
        replaced = found
    if engine.rows(replaced.limit(1)):
        raise _ReplacesKeptRowError
    found = found.drop("last_file")
    return engine.checkpoint(engine.union([resolve_duplicate_chain(duplicates, found), found]))
