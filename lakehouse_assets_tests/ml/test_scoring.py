"""Scoring: the labels of the model's own library, and the same ones on both engines."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.clustering import ClusteringConfig, fit_clusters
from lakehouse_assets.ml.model_files import score
from lakehouse_assets.ml.model_registry import Champion
from lakehouse_assets.ml.scoring import Centres, score_frame

NAMES = ("flights", "spent", "age")
ROWS = 40_000


@pytest.fixture(params=["engine", "spark_engine"])
def either(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn, the active one of the test."""
    found: Engine = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def customers() -> np.ndarray:
    rng = np.random.default_rng(5)
    middles = np.array([[10, 100, 30], [500, 90_000, 50], [40, 5_000, 70]])
    rows = middles[rng.integers(3, size=ROWS)] * rng.uniform(0.4, 1.6, size=(ROWS, 3))
    return np.round(rows)


@pytest.fixture(scope="module")
def champion(customers: np.ndarray) -> Champion:
    fit = fit_clusters(customers[:2_000], ClusteringConfig(k=3, n_init=2, sweep=()), NAMES)
    return Champion(fit.pipeline, 1, "2014-03-01")


def frame_of(engine: Engine, rows: np.ndarray) -> Any:
    """Store rows as a bigint, a decimal and an int, with a key; each hundredth lacks something."""
    flights, spent, age = (rows[:, place].tolist() for place in range(3))
    lacking = [range(start, len(rows), 300) for start in (0, 100, 200)]
    for values, places in zip((flights, spent, age), lacking, strict=True):
        for place in places:
            values[place] = None

    def numbers(values: list[Any], kind: Any, make: Callable[[float], Any]) -> pa.Array:
        return pa.array([None if value is None else make(value) for value in values], kind)

    return engine.from_arrow(
        pa.table(
            {
                "customer_key": pa.array(range(len(rows)), pa.int64()),
                "spent": numbers(spent, pa.decimal128(18, 2), lambda v: Decimal(int(v))),
                "flights": numbers(flights, pa.int64(), int),
                "age": numbers(age, pa.int32(), int),
            }
        )
    )


def test_labels_are_those_of_the_librarys_own_prediction(
    either: Engine, customers: np.ndarray, champion: Champion
) -> None:
    scored = score_frame(either, frame_of(either, customers), champion, NAMES)
    found = {row["customer_key"]: row for row in either.rows(scored)}
    clusters = score(champion.pipeline, customers)
    assert len(found) == ROWS
    for key, cluster in enumerate(clusters):
        assert found[key]["cluster"] == (None if key % 100 == 0 else cluster)
    assert {row["cluster"] for row in found.values()} == {None, 0, 1, 2}


def test_a_row_between_two_centres_or_not_finite_is_the_same_everywhere(either: Engine) -> None:
    """Batches of different sizes must not round differently."""
    rng = np.random.default_rng(9)
    middle = rng.normal(size=3)
    apart = rng.normal(size=3) * 1e-9
    centres = Centres(np.zeros(3), np.ones(3), np.stack([middle + apart, middle - apart]))
    rows = middle + rng.normal(size=(5_000, 3)) * 1e-9
    distances = np.zeros((5_000, 2))
    for place in range(3):
        distances += (rows[:, place, None] - centres.standardised[None, :, place]) ** 2
    odd = [[np.nan, 0.0, 0.0], [np.inf, 0.0, 0.0], [0.0, -np.inf, 0.0]]
    table = pa.table(
        {"n": range(5_003)}
        | {name: np.concatenate([rows, odd])[:, i] for i, name in enumerate(NAMES)}
    )
    scored = score_frame(either, either.from_arrow(table), centres, NAMES)
    found = {row["n"]: row["cluster"] for row in either.rows(scored)}
    assert [found[n] for n in range(5_000)] == distances.argmin(axis=1).tolist()
    assert [found[n] for n in range(5_000, 5_003)] == [None] * 3


def test_what_cannot_be_scored_is_said_before_anything_runs(
    engine: Engine, champion: Champion
) -> None:
    frame = engine.from_arrow(pa.table({"flights": [1], "age": [2], "cluster": [3]}))
    with pytest.raises(LakehouseError, match=r"rows lack spent of them and have cluster already"):
        score_frame(engine, frame, champion, NAMES)
    with pytest.raises(LakehouseError, match="call names 2 features"):
        score_frame(engine, frame.drop("cluster"), champion, ("flights", "age"))
