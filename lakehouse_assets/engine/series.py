"""Anomalies and forecasts of time series as DataFrame code: `ml/series.py` on every engine.

A frame has a row per series and position, from 0, at equal steps of time. Values are finite, or
null for a gap. Sums are exact, so that the results do not depend on the order of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.engine.current import Col, DataFrame, F, W

FENCES: Final = {"tukey": (0.25, 0.75), "ctukey": (0.10, 0.90)}
"""Quantiles between which a residual is normal, by method."""

NEGLIGIBLE: Final = 1e-9
"""Residuals with less spread than this share of the largest value are rounding errors."""

_EXACT = "decimal(38,12)"


def numbers_of(frame: DataFrame, names: Sequence[str]) -> DataFrame:
    """Number the series of a frame, because whole numbers are compared faster than names.

    Args:
        frame: Rows with the columns `names`, none of them null.
        names: Columns that identify a series.

    Returns:
        The names of each `series`.
    """
    order = W.orderBy(*[F.col(name).asc_nulls_last() for name in names])
    number = F.row_number().over(order).cast("bigint").alias("series")
    return v.staged(frame.select(*names).distinct().select(*names, number))


def numbered(frame: DataFrame, numbers: DataFrame) -> DataFrame:
    """Replace the names of series by their numbers."""
    names = [name for name in numbers.columns if name != "series"]
    own = numbers.select(*[F.col(name).alias(f"_{name}") for name in names], "series")
    same = F.lit(True)
    for name in names:
        same = same & (F.col(name) == F.col(f"_{name}"))
    others = [name for name in frame.columns if name not in names]
    return frame.join(own, same).select("series", *others)


def with_names(frame: DataFrame, numbers: DataFrame) -> DataFrame:
    """Add the names of numbered series."""
    names = [name for name in numbers.columns if name != "series"]
    own = numbers.select(*names, F.col("series").alias("_series"))
    return frame.join(own, F.col("series") == F.col("_series")).select(*names, *frame.columns)


def rounded(column: Col, digits: int) -> Col:
    """Round a double by binary arithmetic, which is the same on every engine, and quick.

    Whether a half is rounded up depends on the double nearest to it; `v.round_half_up` rounds what
    is written.
    """
    scale = F.lit(float(10**digits))
    return F.floor(column * scale + F.lit(0.5)).cast("double") / scale


def fill_linear(frame: DataFrame, points: int) -> DataFrame:
    """Give each series every position from its first value on, and fill gaps on a straight line.

    Gaps after the last value stay; `ml.series.series_fill_linear` does so without `fill_edges`.

    Args:
        frame: `series`, `position` (bigint) and `value` without nulls; no position of a series
            twice.
        points: Number of positions.

    Returns:
        `series`, `position`, `value` (null in a gap) and `filled`.
    """
    order = W.partitionBy("series").orderBy(F.col("position").asc_nulls_last())
    following = v.staged(
        frame.select(
            "series",
            F.col("position").alias("_start"),
            F.col("value").alias("_value"),
            F.lead("position").over(order).alias("_next"),
            F.lead("value").over(order).alias("_right"),
        )
    )
    end = F.coalesce(F.col("_next"), F.lit(points)) - F.lit(1)
    spread = v.staged(
        following.select(
            *following.columns,
            F.explode(F.sequence(F.col("_start"), end.cast("bigint"))).alias("position"),
        )
    )
    past = F.col("position") - F.col("_start")
    share = v.ratio(past, F.col("_next") - F.col("_start"))
    line = F.col("_value") + (F.col("_right") - F.col("_value")) * share
    return spread.select(
        "series",
        F.col("position").cast("bigint").alias("position"),
        F.when(past == F.lit(0), F.col("_value")).alias("value"),
        F.when(past == F.lit(0), F.col("_value")).otherwise(line).alias("filled"),
    )


def with_scores(frame: DataFrame, learned: Col | None = None) -> DataFrame:
    """Add `baseline` and `score` as `ml.series.series_decompose_anomalies` computes them.

    The baseline is season and mean; the score is in ranges between the fences of `ctukey`.

    Args:
        frame: `series`, `position`, `filled` and `period` (of the series in positions, 0 for none).
        learned: Condition of the rows that are learned from; all by default.
    """
    whole = W.partitionBy("series")
    known = F.col("filled") if learned is None else F.when(learned, F.col("filled"))
    columns = frame.columns
    period = F.col("period")
    phased = v.staged(
        frame.select(
            *columns,
            (F.col("position") % F.greatest(period, F.lit(1))).alias("_phase"),
            known.alias("_known"),
        )
    )
    middle = v.percentile(F.col("_known"), 0.5, ("series", "_phase"))
    seasonal = v.staged(
        phased.select(
            *phased.columns,
            F.when(period > F.lit(0), middle).otherwise(F.lit(0.0)).alias("_seasonal"),
        )
    )
    left = v.staged(
        seasonal.select(*seasonal.columns, (F.col("_known") - F.col("_seasonal")).alias("_left"))
    )
    total = F.sum(F.col("_left").cast(_EXACT)).over(whole).cast("double")
    level = v.ratio(total, F.count(F.col("_left")).over(whole))
    based = v.staged(left.select(*left.columns, level.alias("_level")))
    baseline = F.col("_seasonal") + F.col("_level")
    residual = v.staged(
        based.select(
            *columns,
            baseline.alias("baseline"),
            (F.col("filled") - baseline).alias("_residual"),
            (F.col("_known") - baseline).alias("_learned"),
        )
    )
    low, high = FENCES["ctukey"]
    fenced = v.staged(
        residual.select(
            *residual.columns,
            v.percentile(F.col("_learned"), low, ["series"]).alias("_low"),
            v.percentile(F.col("_learned"), high, ["series"]).alias("_high"),
            F.max(F.abs(F.col("filled"))).over(whole).alias("_largest"),
        )
    )
    width = F.greatest(
        F.col("_high") - F.col("_low"), F.col("_largest") * F.lit(NEGLIGIBLE), F.lit(0.0)
    )
    over = F.greatest(F.col("_residual") - F.col("_high"), F.lit(0.0)) + F.least(
        F.col("_residual") - F.col("_low"), F.lit(0.0)
    )
    score = F.coalesce(F.when(width > F.lit(0.0), over / width), F.lit(0.0))
    return fenced.select(*columns, "baseline", score.alias("score"))
