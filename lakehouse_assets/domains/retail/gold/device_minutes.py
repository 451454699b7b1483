"""Minutes, episodes and shifts, shared by the gold tables on the stores' devices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from lakehouse_assets.catalog.streams import minutes
from lakehouse_assets.domains.retail.streams.occupancy import OCCUPANCY
from lakehouse_assets.domains.retail.streams.thermostat import THERMOSTAT
from lakehouse_assets.engine import Col, DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v

AGG_THERMOSTAT_MINUTE = minutes(THERMOSTAT)
AGG_OCCUPANCY_MINUTE = minutes(OCCUPANCY)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROS = 60_000_000
_DAY = 24 * 60
# First minutes of the three shifts.
_FIRST, _SECOND, _THIRD = 6 * 60, 14 * 60, 22 * 60


def minute_number(moment: Col) -> Col:
    """Return the minutes from 1970 (UTC) to a timestamp, as bigint."""
    micros = v.micros_between(F.lit(_EPOCH).cast("timestamp"), moment)
    return F.floor(v.ratio(micros, F.lit(_MICROS))).cast("bigint")


def with_episode(rows: DataFrame, by: Sequence[str], gap: int) -> DataFrame:
    """Number the episodes of each group: runs of minutes that are at most `gap` minutes apart.

    Args:
        rows: Rows with the columns `by` and `number`, a minute's number since 1970.
        by: Columns of a group.
        gap: Longest gap within an episode, in minutes.

    Returns:
        The rows and their `episode`, from 1.
    """
    order = W.partitionBy(*by).orderBy(F.col("number").asc_nulls_last())
    before = v.staged(rows.withColumn("before", F.lag("number").over(order)))
    begins = F.when(F.col("number") - F.col("before") <= F.lit(gap), F.lit(0)).otherwise(F.lit(1))
    begun = v.staged(before.select(*rows.columns, begins.alias("begins")))
    return begun.select(*rows.columns, F.sum("begins").over(order).cast("bigint").alias("episode"))


def with_shift(rows: DataFrame, clocks: DataFrame) -> DataFrame:
    """Add the shift in the store's local time: 1 from 6:00, 2 from 14:00, 3 from 22:00.

    Args:
        rows: Rows with `store_id` and `number`, a minute's number since 1970.
        clocks: Rows of `reference.store_clocks`.

    Returns:
        The rows and their `shift`, which is null for an unknown store.
    """
    own = clocks.select(
        F.col("store_id").alias("clock_of"), "from_minute", "until_minute", "offset_minutes"
    )
    found = rows.join(
        own,
        (F.col("store_id") == F.col("clock_of"))
        & (F.col("number") >= F.col("from_minute"))
        & (F.col("number") < F.col("until_minute")),
        "left",
    )
    local = (F.col("number") + F.col("offset_minutes")) % F.lit(_DAY)
    begins = {_FIRST: 3, _SECOND: 1, _THIRD: 2, _DAY: 3}
    shift = v.first_of(*((local < F.lit(end), shift) for end, shift in begins.items()))
    return found.select(*rows.columns, shift.cast("int").alias("shift"))
