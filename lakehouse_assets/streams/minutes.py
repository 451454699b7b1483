"""Adds up the events of each device and minute: pure functions of frames, on every engine."""

from __future__ import annotations

from functools import reduce
from operator import or_

from lakehouse_assets.catalog.streams import Aggregate, Stream, minutes
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v

_MEAN_DIGITS = 4


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
    differs = reduce(or_, [~F.col(n).eqNullSafe(F.col(f"stored_{n}")) for n in compared])
    late = F.col("minute") < F.col("closed_before")
    revised = F.when(late & differs, F.lit(1)).otherwise(F.lit(0))
    before_revision = F.coalesce(F.col("stored_revision"), F.lit(0))
    revision = (before_revision + revised).cast("int").alias("revision")
    return joined.select(
        *[revision if name == "revision" else F.col(name) for name in table.column_names]
    )


def _value(aggregate: Aggregate) -> Col:
    column = F.col(aggregate.of)
    if aggregate.how == "mean":
        return v.mean(column, _MEAN_DIGITS)
    if aggregate.how == "total":
        return v.total(column)
    return F.min(column) if aggregate.how == "lowest" else F.max(column)
