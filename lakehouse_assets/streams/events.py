"""Turns bronze events into silver, quarantine and minutes: pure functions, on every engine."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import reduce
from operator import or_

from lakehouse_assets.catalog.datasets import quarantine_table, silver_table
from lakehouse_assets.catalog.streams import ADDRESS, Aggregate, Stream, minutes
from lakehouse_assets.engine import Col, DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.quality.classify import ACCEPTED, DUPLICATE, QUARANTINED, apply_expectations
from lakehouse_assets.quality.fields import expectations_of, typed_rows

# What was received first comes first; the others make the order of equal times certain.
_ORDER = ("received", *ADDRESS)
# Later than any other, for events whose time of receipt is not known.
_UNKNOWN = datetime(2200, 1, 1, tzinfo=UTC)
_MEAN_DIGITS = 4


def classify_events(
    stream: Stream, engine: Engine, bronze: DataFrame, known: DataFrame
) -> DataFrame:
    """Type events and give each its disposition: accepted, quarantined or duplicate.

    If a device sends several events with the same time, the one that the broker received first
    counts. If silver already has one of them, it stays, unless an earlier one has other values.

    Args:
        stream: The stream.
        engine: The engine of the rows.
        bronze: Rows of bronze.
        known: Rows of silver in the minutes of these events, or in more.

    Returns:
        The rows of `typed_rows`, with `reasons`, `disposition`, `duplicate_of`, and `displaces`:
        whether the event replaces the one that silver has, which has other values. If any does, its
        days must be classified again, without known rows.
    """
    typed = apply_expectations(typed_rows(stream, engine, bronze), expectations_of(stream))
    trusted = F.size(F.col("reasons")) == F.lit(0)
    order = F.coalesce(F.col("_enqueued_at"), F.lit(_UNKNOWN))
    rows = v.staged(typed.select(*typed.columns, order.alias("received"), trusted.alias("trusted")))
    values = [c.name for c in stream.columns if c.stored and c.name not in stream.key]
    stored = known.select(
        order.alias("known_received"),
        *[F.col(name).alias(f"known_{name}") for name in (*stream.key, *values, *ADDRESS)],
    )
    same = F.col("trusted")
    for name in stream.key:
        same = same & (F.col(name) == F.col(f"known_{name}"))
    joined = v.staged(rows.join(v.staged(stored), same, "left"))
    of_key = W.partitionBy("trusted", *stream.key).orderBy(
        *[F.col(name).asc_nulls_last() for name in _ORDER]
    )
    differs = _differ(values, "known_")
    placed = v.staged(
        joined.select(
            *typed.columns,
            "trusted",
            F.row_number().over(of_key).alias("place"),
            F.first(_address("")).over(of_key).alias("first_of_batch"),
            F.when(F.col("known__offset").isNotNull(), _address("known_")).alias("first_of_silver"),
            (F.col("known__offset").isNotNull() & differs & _precedes()).alias("displaces"),
        )
    )
    repeats = F.when(F.col("place") > F.lit(1), F.col("first_of_batch"))
    repeats = F.when(F.col("trusted"), F.coalesce(F.col("first_of_silver"), repeats))
    named = v.staged(placed.select(*typed.columns, "displaces", repeats.alias("duplicate_of")))
    return named.select(
        *named.columns,
        F.when(F.size(F.col("reasons")) > F.lit(0), F.lit(QUARANTINED))
        .when(F.col("duplicate_of").isNotNull(), F.lit(DUPLICATE))
        .otherwise(F.lit(ACCEPTED))
        .alias("disposition"),
    )


def accepted_events(stream: Stream, classified: DataFrame) -> DataFrame:
    """Return the accepted rows of `classify_events` as rows of silver."""
    accepted = classified.filter(F.col("disposition") == F.lit(ACCEPTED))
    return accepted.select(*silver_table(stream).column_names)


def other_events(stream: Stream, classified: DataFrame) -> DataFrame:
    """Return the other rows of `classify_events` as rows of the quarantine, with the sent text."""
    fields = {column.name for column in stream.fields}
    return classified.filter(F.col("disposition") != F.lit(ACCEPTED)).select(
        *[
            F.col(f"raw_{name}").alias(name) if name in fields else F.col(name)
            for name in quarantine_table(stream).column_names
        ]
    )


def summary_of(stream: Stream, classified: DataFrame) -> DataFrame:
    """Count the rows of `classify_events`.

    Returns:
        By `minute`, `event_date`, `disposition` and `displaces`: the number of `events`, and the
        `newest` time. A clock that is ahead says nothing about that: an event happened before it
        was received.
    """
    moment = F.col(stream.event_time)
    by = ("event_date", "disposition", "displaces")
    timed = v.staged(
        classified.select(
            v.minute_start(moment).alias("minute"),
            *by,
            F.least(moment, received()).alias("moment"),
        )
    )
    counted = timed.groupBy("minute", *by)
    return counted.agg(F.count(F.lit(1)).alias("events"), F.max("moment").alias("newest"))


def minute_rows(
    stream: Stream, silver: DataFrame, stored: DataFrame, closed: DataFrame
) -> DataFrame:
    """Recompute minutes from all of their events.

    Args:
        stream: The stream.
        silver: All rows of silver in these minutes.
        stored: The rows that the table of minutes has of them.
        closed: One row: `closed_before`, the time before which minutes were closed when the newest
            events arrived; null if none was.

    Returns:
        The rows of these minutes, in the columns of the table. `revision` is one more than before
        in rows of closed minutes that differ from the stored ones.
    """
    table = minutes(stream)
    minute = v.minute_start(F.col(stream.event_time)).alias("minute")
    by = (stream.device, "minute", "event_date")
    used = {stream.device, "event_date", *(aggregate.of for aggregate in stream.minute)}
    timed = v.staged(silver.select(*sorted(used), minute))
    values = {a.name: _value(a).cast(table.column(a.name).type) for a in stream.minute}
    added = v.staged(
        timed.groupBy(*by).agg(
            F.count(F.lit(1)).alias("readings"),
            *[value.alias(name) for name, value in values.items()],
        )
    )
    compared = ("readings", *values)
    before = stored.select(
        *[F.col(n).alias(f"stored_{n}") for n in (stream.device, "minute", *compared, "revision")]
    )
    same = (F.col(stream.device) == F.col(f"stored_{stream.device}")) & (
        F.col("minute") == F.col("stored_minute")
    )
    joined = v.staged(added.join(v.staged(before), same, "left").crossJoin(closed))
    late = F.col("minute") < F.col("closed_before")
    revised = F.when(late & _differ(compared, "stored_"), F.lit(1)).otherwise(F.lit(0))
    before_revision = F.coalesce(F.col("stored_revision"), F.lit(0))
    revision = (before_revision + revised).cast("int").alias("revision")
    return joined.select(
        *[revision if name == "revision" else F.col(name) for name in table.column_names]
    )


def received() -> Col:
    """Return when an event was received: by the broker or, if that is not known, by the lake."""
    return F.coalesce(F.col("_enqueued_at"), F.col("_ingested_at"))


def _precedes() -> Col:
    """Say whether an event was received before the one that silver has."""
    before = F.lit(False)
    for name in reversed(_ORDER):
        ours, theirs = F.col(name), F.col(f"known_{name}")
        before = (ours < theirs) | ((ours == theirs) & before)
    return before


def _address(prefix: str) -> Col:
    parts = [F.col(f"{prefix}{name}").cast("string") for name in ADDRESS]
    return F.concat(parts[0], F.lit(":"), parts[1], F.lit("#"), parts[2])


def _differ(names: Iterable[str], prefix: str) -> Col:
    """Say whether a row has other values than the columns whose names begin with a prefix."""
    return reduce(or_, [~F.col(name).eqNullSafe(F.col(f"{prefix}{name}")) for name in names])


def _value(aggregate: Aggregate) -> Col:
    column = F.col(aggregate.of)
    if aggregate.how == "mean":
        return v.mean(column, _MEAN_DIGITS)
    if aggregate.how == "total":
        return v.total(column)
    return F.min(column) if aggregate.how == "lowest" else F.max(column)
