"""Scoring: the labels of the model's own library, and the same ones on both engines."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark import cloudpickle

from lakehouse_assets.domains.airline.models.kmeans import ClusteringConfig, fit_clusters
from lakehouse_assets.domains.airline.models.segments import SEGMENTS, centre_scorer
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.spark import sending_the_package
from lakehouse_assets.ml.lifecycle import score_frame

NAMES = ("flights", "spent", "age")
SPEC = dataclasses.replace(SEGMENTS, features=NAMES)
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
def pipeline(customers: np.ndarray) -> Any:
    config = ClusteringConfig(k=3, n_init=2, sweep=())
    return fit_clusters(customers[:2_000], config, NAMES).pipeline


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
    either: Engine, customers: np.ndarray, pipeline: Any
) -> None:
    scored = score_frame(SPEC, either, frame_of(either, customers), pipeline)
    found = {row["customer_key"]: row for row in either.rows(scored)}
    clusters = pipeline.predict(pd.DataFrame(customers, columns=list(NAMES)))
    assert len(found) == ROWS
    for key, cluster in enumerate(clusters):
        assert found[key]["cluster"] == (None if key % 100 == 0 else cluster)
    assert {row["cluster"] for row in found.values()} == {None, 0, 1, 2}


def test_a_row_between_two_centres_or_not_finite_is_the_same_everywhere(either: Engine) -> None:
    """Batches of different sizes must not round differently."""
    rng = np.random.default_rng(9)
    middle = rng.normal(size=3)
    apart = rng.normal(size=3) * 1e-9
    centres = np.stack([middle + apart, middle - apart])
    spec = dataclasses.replace(SPEC, scorer=lambda c: centre_scorer(np.zeros(3), np.ones(3), c))
    rows = middle + rng.normal(size=(5_000, 3)) * 1e-9
    distances = np.zeros((5_000, 2))
    for place in range(3):
        distances += (rows[:, place, None] - centres[None, :, place]) ** 2
    odd = [[np.nan, 0.0, 0.0], [np.inf, 0.0, 0.0], [0.0, -np.inf, 0.0]]
    table = pa.table(
        {"n": range(5_003)}
        | {name: np.concatenate([rows, odd])[:, i] for i, name in enumerate(NAMES)}
    )
    scored = score_frame(spec, either, either.from_arrow(table), centres)
    found = {row["n"]: row["cluster"] for row in either.rows(scored)}
    assert [found[n] for n in range(5_000)] == distances.argmin(axis=1).tolist()
    assert [found[n] for n in range(5_000, 5_003)] == [None] * 3


WORKER = """
import sys
assert not any(name.startswith("lakehouse") for name in sys.modules)
sys.modules["lakehouse_assets"] = sys.modules["sklearn"] = None
import pickle, pyarrow
score = pickle.loads(sys.stdin.buffer.read())
print(score(pyarrow.record_batch({"a": [0.0, 9.0], "b": [1.0, 9.0], "c": [1, None]})).to_pydict())
"""


def test_spark_sends_what_its_workers_need_of_this_project(pipeline: Any) -> None:
    with sending_the_package():
        sent = cloudpickle.dumps(SPEC.scorer(pipeline))
    done = subprocess.run(
        [sys.executable, "-c", WORKER], input=sent, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert re.fullmatch(r"{'cluster': \[[012], None\]}", done.stdout.decode().strip())
