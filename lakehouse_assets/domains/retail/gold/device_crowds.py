"""Crowds and heat: how temperature follows visitors, and how long cooling takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from lakehouse_assets.catalog.gold import GoldTable, Read, last_days
from lakehouse_assets.catalog.registry import Column, Measure, Table
from lakehouse_assets.domains.conformed.gold.calendar import dates
from lakehouse_assets.domains.retail import reference
from lakehouse_assets.domains.retail.gold.common import STORES, daily
from lakehouse_assets.domains.retail.gold.device_minutes import (
    AGG_OCCUPANCY_MINUTE,
    AGG_THERMOSTAT_MINUTE,
    minute_number,
    with_episode,
    with_shift,
)
from lakehouse_assets.domains.retail.reference import LONGEST_LAG
from lakehouse_assets.engine import Col, DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v

CHANGE: Final = 30
"""Minutes over which changes are correlated; short enough to leave out the daily pattern."""

LEAST_PAIRS: Final = 60
"""Fewest pairs of minutes for a correlation."""

WEAKEST: Final = 0.2
"""Weakest correlation that is reported: among 61 lags, some correlate by chance."""

CROWD: Final = (14, 10)
"""A crowd has more than 14/10 of the store's average visitors in open minutes."""

_GAP, _LEAST_MINUTES = 5, 5
_BEFORE, _SMOOTHED = 15, 5
_BAND = 50
_DAY = 24 * 60
_EPOCH = date(1970, 1, 1)
WHOLE_DAY: Final = 0

_STORE = Column("store_id", "string", "The store.", False)
_REFERENCES = (dates("event_date"), STORES)

GOLD_CROWD_HEAT = daily(
    "gold_crowd_heat",
    f"How a store's temperature follows its visitors: the lag from 0 to {LONGEST_LAG} minutes at "
    f"which their changes over {CHANGE} minutes correlate most. One row per store and shift of a "
    f"day, and one for the whole day, if the correlation is at least {WEAKEST} over at least "
    f"{LEAST_PAIRS} pairs of minutes. Closed stores have none.",
    (
        _STORE,
        Column("shift", "int", "Shift of the temperature, in the store's local time: 1 from 6:00, "
               f"2 from 14:00, 3 from 22:00; {WHOLE_DAY} for the whole day.", False, "code"),
        Column("lag_minutes", "int", "Minutes by which the temperature lags behind the visitors.",
               False,
               "minutes"),
        Column("correlation", "double", "Pearson correlation at this lag, to 4 decimals.", False,
               "score"),
        Column("pairs", "bigint", "Number of pairs of minutes at this lag.", False, "count"),
    ),
    ("event_date", "store_id", "shift"),
    kind="snapshot",
    topic="climate",
    references=_REFERENCES,
)  # fmt: skip

GOLD_CROWD_COOLING = daily(
    "gold_crowd_cooling",
    f"How long stores take to cool down after a crowd. A crowd is at least {_LEAST_MINUTES} "
    f"minutes with more than {CROWD[0] / CROWD[1]} times the store's average visitors in the open "
    "minutes of two days. One row per crowd, on the day (UTC) on which its outcome is known: "
    f"{LONGEST_LAG} minutes after its end.",
    (
        _STORE,
        Column("began_at", "timestamp", "First minute of the crowd (UTC).", False),
        Column("ended_at", "timestamp", "Last minute of the crowd (UTC).", False),
        Column("shift", "int", "Shift in which the crowd began, in the store's local time: 1 from "
               "6:00, 2 from 14:00, 3 from 22:00.", unit="code"),
        Column("visitors_peak", "double", "Highest number of visitors in a minute, as an average "
               "of the store's devices.", False, "count"),
        Column("temp_before", "double", f"Average temperature of the {_BEFORE} minutes before; "
               "null if there is none.", unit="degrees Fahrenheit"),
        Column("temp_peak", "double", f"Highest {_SMOOTHED}-minute average temperature during the "
               f"crowd and the {LONGEST_LAG} minutes after it, or until the next crowd; null if "
               "there is none.", unit="degrees Fahrenheit"),
        Column("minutes_to_band", "int", "Minutes from the end of the crowd until the "
               f"{_SMOOTHED}-minute average temperature is at most {_BAND / 100} F above "
               "temp_before again; 0 if it was never higher, null if that took more than "
               f"{LONGEST_LAG} minutes or the next crowd came first.", unit="minutes"),
    ),
    ("store_id", "began_at"),
    kind="event",
    topic="climate",
    references=_REFERENCES,
    measures=(
        Measure("crowds", "count(*)", "count", "additive", "Number of crowds in the stores."),
        Measure("cooling_minutes", "avg(minutes_to_band)", "minutes", "non_additive",
                "Average minutes that a store took to cool down after a crowd."),
    ),
)  # fmt: skip


def crowd_heat(
    temperatures: DataFrame,
    visitors: DataFrame,
    clocks: DataFrame,
    lags: DataFrame,
    day: date,
) -> DataFrame:
    """Correlate visitors and temperatures; columns as declared for `gold_crowd_heat`.

    Args:
        temperatures: Rows of `agg_thermostat_minute` of the day and the day before.
        visitors: Rows of `agg_occupancy_minute` of the same days.
        clocks: Rows of `reference.store_clocks`.
        lags: Rows of `reference.lags`.
        day: The day.
    """
    series = _store_minutes(temperatures, visitors)
    number = F.col("number")
    earlier = series.select(
        F.col("store_id").alias("of"),
        (number + F.lit(CHANGE)).cast("bigint").alias("at"),
        F.col("temp").alias("temp_then"),
        F.col("visitors").alias("visitors_then"),
    )
    changes = v.staged(
        series.join(earlier, (F.col("store_id") == F.col("of")) & (number == F.col("at"))).select(
            "store_id", "number",
            (F.col("temp") - F.col("temp_then")).alias("warmer"),
            (F.col("visitors") - F.col("visitors_then")).alias("more"),
        )
    )  # fmt: skip
    first = (day - _EPOCH).days * _DAY
    today = with_shift(changes.filter(number >= F.lit(first)), clocks)
    crowds = changes.filter(number >= F.lit(first - LONGEST_LAG)).crossJoin(lags)
    crowds = crowds.select(
        F.col("store_id").alias("of"), "more", "lag",
        (number + F.col("lag")).cast("bigint").alias("at"),
    )  # fmt: skip
    pairs = v.staged(
        v.staged(today.select("store_id", "number", "shift", "warmer")).join(
            v.staged(crowds), (F.col("store_id") == F.col("of")) & (number == F.col("at"))
        )
    )
    x, y = F.col("more"), F.col("warmer")
    by_shift = v.staged(
        pairs.groupBy("store_id", "shift", "lag").agg(
            F.count(F.lit(1)).cast("bigint").alias("n"),
            *[
                F.sum(product).cast("bigint").alias(name)
                for name, product in {"x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}.items()
            ],
        )
    )
    sums = ("n", "x", "y", "xx", "yy", "xy")
    whole = by_shift.groupBy("store_id", "lag").agg(
        *[F.sum(name).cast("bigint").alias(name) for name in sums]
    )
    names = ("store_id", "shift", "lag", *sums)
    both = v.staged(
        by_shift.filter(F.col("shift").isNotNull())
        .select(*names)
        .unionByName(whole.withColumn("shift", F.lit(WHOLE_DAY).cast("int")).select(*names))
    )
    scored = v.staged(
        both.select("store_id", "shift", "lag", "n", _pearson().alias("r")).filter(
            (F.col("r") >= F.lit(WEAKEST)) & (F.col("n") >= F.lit(LEAST_PAIRS))
        )
    )
    order = W.partitionBy("store_id", "shift").orderBy(
        F.col("r").desc_nulls_last(), F.col("lag").asc_nulls_last()
    )
    best = v.staged(scored.withColumn("place", F.row_number().over(order)))
    return best.filter(F.col("place") == F.lit(1)).select(
        "store_id", "shift",
        F.col("lag").cast("int").alias("lag_minutes"),
        v.round_half_up(F.col("r"), 4).alias("correlation"),
        F.col("n").alias("pairs"),
    )  # fmt: skip


def crowd_cooling(
    temperatures: DataFrame, visitors: DataFrame, clocks: DataFrame, day: date
) -> DataFrame:
    """Find crowds and how long cooling took; columns as declared for `gold_crowd_cooling`.

    Args:
        temperatures: Rows of `agg_thermostat_minute` of the day and the day before.
        visitors: Rows of `agg_occupancy_minute` of the same days.
        clocks: Rows of `reference.store_clocks`.
        day: The day.
    """
    series = _store_minutes(temperatures, visitors)
    crowds = _crowds(series, day)
    number, start, end = F.col("number"), F.col("start"), F.col("end")
    recent = W.partitionBy("store_id").orderBy(number.asc_nulls_last())
    recent = recent.rangeBetween(1 - _SMOOTHED, 0)
    smooth = series.select(
        F.col("store_id").alias("of"), "number", "temp",
        v.ratio(
            F.sum("temp").over(recent).cast("bigint"), F.count("temp").over(recent).cast("bigint")
        ).alias("smooth"),
    )  # fmt: skip
    near = v.staged(
        crowds.select("store_id", "start", "end", "until").join(
            v.staged(smooth),
            (F.col("store_id") == F.col("of"))
            & (number >= start - F.lit(_BEFORE))
            & (number <= F.col("until")),
        )
    )
    crowd = W.partitionBy("store_id", "start")
    before, after = F.when(number < start, F.col("temp")), F.when(number >= start, F.col("smooth"))
    levels = v.staged(
        near.withColumns(
            {
                "base": v.ratio(
                    F.sum(before).over(crowd).cast("bigint"),
                    F.count(before).over(crowd).cast("bigint"),
                ),
                "peak": F.max(after).over(crowd),
            }
        )
    )
    warmest = F.when((number >= start) & (F.col("smooth") == F.col("peak")), number)
    peaked = v.staged(levels.withColumn("warmest", F.min(warmest).over(crowd)))
    cool = F.col("smooth") <= F.col("base") + F.lit(float(_BAND))
    back = F.when((number >= F.col("warmest")) & (number >= end) & cool, number - end)
    outcome = peaked.groupBy("store_id", "start").agg(
        F.max("base").alias("base"),
        F.max("peak").alias("peak"),
        F.min(back).cast("int").alias("back"),
    )
    found = v.staged(crowds.join(v.staged(outcome), ["store_id", "start"], "left"))
    never = F.col("peak") <= F.col("base") + F.lit(float(_BAND))
    described = v.staged(
        found.withColumns(
            {
                "visitors_peak": v.ratio(F.col("most"), F.lit(100)),
                "temp_before": _fahrenheit(F.col("base")),
                "temp_peak": _fahrenheit(F.col("peak")),
                "minutes_to_band": F.when(never, F.lit(0)).otherwise(F.col("back")).cast("int"),
                "number": start,
            }
        )
    )
    return with_shift(described, clocks)


def _store_minutes(temperatures: DataFrame, visitors: DataFrame) -> DataFrame:
    """Average a store's devices by minute, in hundredths of a degree and of a visitor.

    Whole numbers, so that sums do not depend on the order of addition.
    """
    warm = temperatures.groupBy("store_id", "minute").agg(_hundredths("temp_avg").alias("temp"))
    busy = visitors.groupBy("store_id", "minute").agg(_hundredths("visitors_avg").alias("visitors"))
    return v.staged(
        v.staged(warm)
        .join(v.staged(busy), ["store_id", "minute"], "inner")
        .withColumn("number", minute_number(F.col("minute")))
    )


def _hundredths(name: str) -> Col:
    mean = v.mean(F.col(name).cast("decimal(18,4)"), 2)
    return F.floor(mean * F.lit(100.0) + F.lit(0.5)).cast("bigint")


def _fahrenheit(hundredths: Col) -> Col:
    return v.round_half_up(v.ratio(hundredths, F.lit(100)), 2)


def _pearson() -> Col:
    """Return Pearson's r of whole numbers, from their sums; null if one of them is constant."""
    n, x, y = F.col("n"), F.col("x"), F.col("y")
    spread_x, spread_y = n * F.col("xx") - x * x, n * F.col("yy") - y * y
    both = F.sqrt(spread_x.cast("double") * spread_y.cast("double"))
    constant = (spread_x == F.lit(0)) | (spread_y == F.lit(0))
    return F.when(~constant, v.ratio(n * F.col("xy") - x * y, both))


def _crowds(series: DataFrame, day: date) -> DataFrame:
    """Return the crowds whose outcome is known on this day.

    Columns: `store_id`, `start`, `end` and `until` (minutes since 1970), `began_at`, `ended_at` and
    `most`, the most visitors in hundredths.
    """
    visitors = F.col("visitors")
    usual = series.filter(visitors > F.lit(0)).groupBy("store_id").agg(
        F.sum("visitors").cast("bigint").alias("total"),
        F.count(F.lit(1)).cast("bigint").alias("minutes"),
    )  # fmt: skip
    last = series.agg(F.max("number").alias("last"))
    many, of = CROWD
    compared = v.staged(series.join(v.staged(usual), "store_id").crossJoin(last))
    full = compared.filter(
        visitors * F.col("minutes") * F.lit(of) > F.col("total") * F.lit(many)
    ).select("store_id", "number", "minute", "visitors", "last")
    episodes = v.staged(with_episode(v.staged(full), ("store_id",), _GAP))
    crowds = v.staged(
        episodes.groupBy("store_id", "episode").agg(
            F.min("number").alias("start"),
            F.max("number").alias("end"),
            F.min("minute").alias("began_at"),
            F.max("minute").alias("ended_at"),
            F.max("visitors").alias("most"),
            F.max("last").alias("last"),
        )
    ).filter(F.col("end") - F.col("start") >= F.lit(_LEAST_MINUTES - 1))
    known = (F.col("end") + F.lit(LONGEST_LAG)).cast("bigint")
    following = W.partitionBy("store_id").orderBy(F.col("start").desc_nulls_last())
    bounded = v.staged(
        v.staged(crowds).withColumns({"known": known, "next": F.lag("start").over(following)})
    )
    first = (day - _EPOCH).days * _DAY
    return v.staged(
        bounded.filter(
            (F.col("known") >= F.lit(first))
            & (F.col("known") < F.lit(first + _DAY))
            & (F.col("known") <= F.col("last"))
        ).withColumn(
            "until",
            F.least(F.col("known"), F.coalesce(F.col("next") - F.lit(1), F.col("known"))),
        )
    )


_MINUTES: Mapping[str, Table | Read | Callable[[], Any]] = {
    "temperatures": last_days(AGG_THERMOSTAT_MINUTE, 2),
    "visitors": last_days(AGG_OCCUPANCY_MINUTE, 2),
    "clocks": reference.store_clocks,
}
GOLD = (
    GoldTable(GOLD_CROWD_HEAT, crowd_heat, {**_MINUTES, "lags": reference.lags}),
    GoldTable(GOLD_CROWD_COOLING, crowd_cooling, _MINUTES),
)
