"""Anomalies and forecasts of time series as DataFrame code: `ml/series.py` on every engine.

A frame has a row per series and position, from 0, at equal steps of time. Values are finite, or
null for a gap. Sums are exact, so that the results do not depend on the order of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.engine.current import F, W
from lakehouse_assets.engine.types import Col, DataFrame

FENCES: Final = {"tukey": (0.25, 0.75), "ctukey": (0.10, 0.90)}
"""Quantiles between which a residual is normal, by method."""

NEGLIGIBLE: Final = 1e-9
"""Residuals with less spread than this share of the largest value are rounding errors."""

_EXACT = "decimal(38,12)"


def at_equal_steps(frame: DataFrame, series: Sequence[str], points: int) -> DataFrame:
    """Give each series a row for every position below `points`, with a null value for a gap.

    Args:
        frame: `position` (bigint), `value` and the columns of `series`; no position twice.
        series: Columns that identify a series.
        points: Number of positions.
    """
    places = F.explode(F.sequence(F.lit(0), F.lit(points - 1)))
    grid = v.staged(
        frame.select(*[F.col(name).alias(f"_{name}") for name in series])
        .distinct()
        .select(*[f"_{name}" for name in series], places.alias("_position"))
    )
    same = F.col("_position") == F.col("position")
    for name in series:
        same = same & (F.col(f"_{name}") == F.col(name))
    return grid.join(frame, same, "left").select(
        *[F.col(f"_{name}").alias(name) for name in series],
        F.col("_position").cast("bigint").alias("position"),
        "value",
    )


def fill_linear(frame: DataFrame, series: Sequence[str]) -> DataFrame:
    """Fill the gaps between values on a straight line, and leave those at the edges.

    Args:
        frame: `position`, `value` and the columns of `series`.
        series: Columns that identify a series.

    Returns:
        The same columns, and `filled`.
    """
    place = F.col("position")
    known = F.when(F.col("value").isNotNull(), place)
    forward = W.partitionBy(*series).orderBy(place.asc_nulls_last())
    backward = W.partitionBy(*series).orderBy(place.desc_nulls_last())
    placed = v.staged(
        frame.select(
            *frame.columns,
            F.max(known).over(forward).alias("_before"),
            F.min(known).over(backward).alias("_after"),
        )
    )
    # Only one row of those with the same neighbour has a value: the neighbour itself.
    left = F.max("value").over(W.partitionBy(*series, "_before"))
    right = F.max("value").over(W.partitionBy(*series, "_after"))
    between = v.staged(placed.select(*placed.columns, left.alias("_left"), right.alias("_right")))
    width = F.greatest(F.col("_after") - F.col("_before"), F.lit(1))
    share = v.ratio(place - F.col("_before"), width)
    line = F.col("_left") + (F.col("_right") - F.col("_left")) * share
    return between.select(*frame.columns, F.coalesce(F.col("value"), line).alias("filled"))


def with_anomalies(
    frame: DataFrame,
    series: Sequence[str],
    *,
    value: str = "value",
    period: Col,
    learned: Col | None = None,
    trend: Literal["avg", "linefit", "none"] = "avg",
    threshold: float = 1.5,
    method: Literal["tukey", "ctukey"] = "ctukey",
) -> DataFrame:
    """Add what `ml.series.series_decompose_anomalies` finds: `baseline`, `score` and `flag`.

    The score is in ranges between the fences.

    Args:
        frame: `position`, the value and the columns of `series`.
        series: Columns that identify a series.
        value: Column of the value, a double.
        period: Period of the row's series in positions, 0 for none.
        learned: Condition of the rows that are learned from; all by default.
        trend: `avg`, `linefit` or `none`.
        threshold: Lowest absolute score of an anomaly.
        method: The fences.
    """
    whole = W.partitionBy(*series)
    known = F.col(value) if learned is None else F.when(learned, F.col(value))
    columns = frame.columns
    phased = v.staged(
        frame.select(
            *columns,
            period.alias("_period"),
            (F.col("position") % F.greatest(period, F.lit(1))).alias("_phase"),
            known.alias("_known"),
        )
    )
    middle = v.percentile(F.col("_known"), 0.5, (*series, "_phase"))
    seasonal = v.staged(
        phased.select(
            *phased.columns,
            F.when(F.col("_period") > F.lit(0), middle).otherwise(F.lit(0.0)).alias("_seasonal"),
        )
    )
    left = v.staged(
        seasonal.select(*seasonal.columns, (F.col("_known") - F.col("_seasonal")).alias("_left"))
    )
    based = v.staged(_with_trend(left, whole, trend))
    baseline = F.col("_seasonal") + F.col("_trend")
    residual = v.staged(
        based.select(
            *columns,
            baseline.alias("baseline"),
            (F.col(value) - baseline).alias("_residual"),
            (F.col("_known") - baseline).alias("_learned"),
        )
    )
    low, high = FENCES[method]
    fenced = v.staged(
        residual.select(
            *residual.columns,
            v.percentile(F.col("_learned"), low, series).alias("_low"),
            v.percentile(F.col("_learned"), high, series).alias("_high"),
            F.max(F.abs(F.col(value))).over(whole).alias("_largest"),
        )
    )
    width = F.greatest(
        F.col("_high") - F.col("_low"), F.col("_largest") * F.lit(NEGLIGIBLE), F.lit(0.0)
    )
    over = F.greatest(F.col("_residual") - F.col("_high"), F.lit(0.0)) + F.least(
        F.col("_residual") - F.col("_low"), F.lit(0.0)
    )
    score = F.coalesce(F.when(width > F.lit(0.0), over / width), F.lit(0.0))
    scored = v.staged(fenced.select(*columns, "baseline", score.alias("score")))
    flag = (
        F.when(F.col("score") >= F.lit(threshold), F.lit(1))
        .when(F.col("score") <= F.lit(-threshold), F.lit(-1))
        .otherwise(F.lit(0))
    )
    return scored.select(*scored.columns, flag.cast("int").alias("flag"))


def _with_trend(left: DataFrame, whole: Col, trend: str) -> DataFrame:
    """Add `_trend`, which is learned from `_left`."""
    if trend == "none":
        return left.select(*left.columns, F.lit(0.0).alias("_trend"))
    place = F.when(F.col("_left").isNotNull(), F.col("position"))
    means = left.select(
        *left.columns,
        _mean(F.col("_left"), whole).alias("_level"),
        _mean(place, whole).alias("_centre"),
    )
    if trend == "avg":
        return means.withColumn("_trend", F.col("_level"))
    away = F.col("position").cast("double") - F.col("_centre")
    known = F.when(F.col("_left").isNotNull(), away)
    products = v.staged(
        v.staged(means).select(
            *means.columns,
            away.alias("_away"),
            _total(known * (F.col("_left") - F.col("_level")), whole).alias("_products"),
            _total(known * known, whole).alias("_squares"),
        )
    )
    slope = F.when(F.col("_squares") > F.lit(0.0), F.col("_products") / F.col("_squares"))
    line = F.col("_level") + F.coalesce(slope, F.lit(0.0)) * F.col("_away")
    return products.select(*products.columns, line.alias("_trend"))


def _total(column: Col, whole: Col) -> Col:
    return F.sum(column.cast(_EXACT)).over(whole).cast("double")


def _mean(column: Col, whole: Col) -> Col:
    """Return the mean; null without values."""
    return v.ratio(_total(column, whole), F.count(column).over(whole))
