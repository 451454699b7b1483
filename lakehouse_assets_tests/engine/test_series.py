"""Series as DataFrame code are those of NumPy, on both engines."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lakehouse_assets.engine import F, current, series
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.ml import series as arrays

SERIES, POINTS, TEST = 6, 500, 7
PERIODS = (48, 48, 48, 0, 0, 48)


def worlds() -> np.ndarray:
    """Return series with rhythm, outliers, gaps inside and at the edges; one is constant."""
    rng = np.random.default_rng(7)
    rows = 67 + 3 * np.sin(np.arange(POINTS) / 48 * 2 * np.pi) + rng.normal(0, 1, (SERIES, POINTS))
    rows = rows.round(4)
    rows[rng.random(rows.shape) < 0.02] += 12
    rows[rng.random(rows.shape) < 0.02] -= 12
    rows[rng.random(rows.shape) < 0.3] = np.nan
    rows[1, :60] = rows[2, -60:] = np.nan
    rows[4] = 5.0
    rows[5, 24::48] = np.nan
    return rows


def build(engine: Engine, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Compute series on an engine; gaps have no row."""
    number, position = np.nonzero(~np.isnan(rows))
    given = pa.table(
        {"name": [f"S{n}" for n in number], "position": position, "value": rows[number, position]}
    )
    before = current.active()
    current.activate(engine)
    try:
        with engine.scope():
            named = engine.from_arrow(given)
            numbers = series.numbers_of(named, ["name"])
            filled = series.fill_linear(series.numbered(named, numbers), POINTS)
            period = F.when(F.col("series").isin(4, 5), F.lit(0)).otherwise(F.lit(48))
            learned = F.col("position") < F.lit(POINTS - TEST)
            frame = series.with_scores(filled.withColumn("period", period), learned)
            found = engine.arrow_stream(series.with_names(frame, numbers)).read_all()
    finally:
        current.activate(before)
    number = [int(name[1:]) for name in found["name"].to_pylist()]
    position = found["position"].to_numpy()
    results = {}
    for name in ("value", "filled", "baseline", "score"):
        # Before its first value a series has no rows.
        results[name] = np.full(rows.shape, 0.0 if name == "score" else np.nan)
        results[name][number, position] = found[name].to_numpy()
    return results


def test_frames_are_decomposed_like_arrays(spark_engine: Engine) -> None:
    rows = worlds()
    filled = arrays.series_fill_linear(rows, fill_edges=False)
    wanted = [
        arrays.series_decompose_anomalies(row, 1.0, period, test_points=TEST)
        for row, period in zip(filled, PERIODS, strict=True)
    ]
    for engine in (start_engine(), spark_engine):
        found = build(engine, rows)
        assert found["filled"] == pytest.approx(filled, rel=1e-12, nan_ok=True)
        assert found["value"] == pytest.approx(rows, nan_ok=True)
        for name in ("baseline", "score"):
            expected = np.array([getattr(one, name) for one in wanted], float)
            if name == "baseline":
                before = np.cumsum(~np.isnan(rows), axis=1) == 0
                expected[before] = np.nan
            assert found[name] == pytest.approx(expected, rel=1e-11, abs=1e-11, nan_ok=True), name
    assert {-1, 1} < {*np.concatenate([one.flag for one in wanted]).tolist()}
