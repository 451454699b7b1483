"""Clustering rows where they are: the figures of arrays, to the bit whatever the order."""

from __future__ import annotations

import math
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pyspark import cloudpickle
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from lakehouse_assets.engine import current
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.batches import folding
from lakehouse_assets.engine.spark import _sent_whole
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml import in_place
from lakehouse_assets.ml.adoption import InPlaceFit, clustering_result
from lakehouse_assets.ml.batch_work import (
    SUM_UNIT,
    adding_up,
    exact_sums,
    moments,
    separations,
    tallies,
)
from lakehouse_assets.ml.clustering import ClusteringConfig
from lakehouse_assets.ml.in_place import KeyedRows, Placed, Treatment
from lakehouse_assets.ml.model_files import score
from lakehouse_assets.ml.silhouettes import silhouette_squared_euclidean

NAMES = ("flights", "spent", "age", "same")
ROWS = 40_000


@pytest.fixture(params=["engine", "spark_engine"])
def either(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn, the active one of the test."""
    found: Engine = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def customers() -> np.ndarray:
    """Flights, money with cents and a long tail, ages, and a column that is the same for all."""
    rng = np.random.default_rng(3)
    flights, age = rng.integers(2, 200, ROWS), rng.integers(12, 100, ROWS)
    spent = np.round(rng.lognormal(6, 3, ROWS), 2)
    return np.column_stack([flights, spent, age, np.full(ROWS, 7)])


def rows_of(engine: Engine, customers: np.ndarray, order: Any = slice(None)) -> KeyedRows:
    """Store customers as whole numbers and decimals, in some order."""
    keys = np.arange(len(customers))[order]
    given = customers[order]
    columns = {
        "key": pa.array(keys, pa.int64()),
        "flights": pa.array(given[:, 0].astype(int), pa.int32()),
        "spent": pa.array([Decimal(f"{v:.2f}") for v in given[:, 1]], pa.decimal128(18, 2)),
        "age": pa.array(given[:, 2].astype(int), pa.int64()),
        "same": pa.array(given[:, 3]),
    }
    return KeyedRows(engine, engine.from_arrow(pa.table(columns)), "key", NAMES)


def bits(found: Treatment | Placed) -> list[Any]:
    """Return all figures, so that equal ones are equal to the bit."""
    return [v.tolist() if isinstance(v, np.ndarray) else v for v in vars(found).values()]


@given(
    arrays.arrays(np.float64, (50, 2), elements=st.floats(-(2.0**43), 2.0**43)),
    st.lists(st.integers(0, 2), min_size=50, max_size=50),
    st.permutations(range(50)),
)
def test_sums_are_exact_in_any_order(values: Any, codes: list[int], order: list[int]) -> None:
    groups = np.array(codes)
    found = exact_sums(groups, values, 3)
    assert (found == exact_sums(groups[order], values[order], 3)).all()
    for group in range(3):
        for column in range(2):
            # What is below the unit is dropped from each number.
            whole = [math.trunc(Fraction(v) * 2**60) for v in values[groups == group, column]]
            assert found[group, column] == sum(whole)
    assert SUM_UNIT == 2.0**-60


def test_figures_are_those_of_arrays(either: Engine, customers: np.ndarray) -> None:
    rows = rows_of(either, customers)
    treatment = in_place.measure_features(rows)
    scaler = StandardScaler().fit(customers)
    scaled = scaler.transform(customers)
    assert treatment.count == ROWS
    for found, expected in (
        (treatment.means, scaler.mean_),
        (treatment.variances, scaler.var_),
        (treatment.scales, scaler.scale_),
    ):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
    models = [KMeans(k, n_init=1, max_iter=2, random_state=1).fit(scaled) for k in (2, 5)]
    placed = in_place.place(rows, treatment, [model.cluster_centers_ for model in models])
    figures = in_place.silhouettes(rows, treatment, placed)
    for model, found, separation in zip(models, placed, figures, strict=True):
        labels = model.predict(scaled)
        own = model.cluster_centers_[labels]
        assert found.sizes == tuple(np.bincount(labels))
        assert found.inertia == pytest.approx(((scaled - own) ** 2).sum(), rel=1e-9)
        assert separation == pytest.approx(silhouette_squared_euclidean(scaled, labels), abs=1e-9)
        means = [
            scaled[labels == cluster].mean(axis=0)
            for cluster in range(len(own[0]) and max(labels) + 1)
        ]
        assert found.moved() == pytest.approx(np.array(means), rel=1e-9, abs=1e-9)


def test_rows_in_any_order_on_any_engine_give_the_same_to_the_bit(
    engine: Engine, spark_engine: Engine, customers: np.ndarray
) -> None:
    few = customers[:3_000]
    starts = {3: [np.eye(4)[:3], np.eye(4)[1:]], 2: [np.eye(4)[:2]]}
    results = []
    for used, order, parts in (
        (engine, slice(None), 0),
        (engine, slice(None, None, -1), 0),
        (spark_engine, slice(None), 7),
        (spark_engine, slice(None, None, -1), 2),
    ):
        current.activate(used)
        rows = rows_of(used, few, order)
        if parts:
            rows = KeyedRows(used, rows.frame.repartition(parts), "key", NAMES)
        treatment = in_place.measure_features(rows)
        refined = in_place.refine(rows, treatment, starts, max_iter=4)
        results.append(
            (
                bits(treatment),
                {k: bits(found) for k, found in refined.items()},
                in_place.silhouettes(rows, treatment, list(refined.values())),
                in_place.sample_by_key(rows, 42, 500, len(few)).tolist(),
                in_place.digest_of_rows(rows),
            )
        )
    assert results[1:] == results[:1] * 3


def test_the_sample_is_of_the_wanted_size_and_hangs_on_the_seed(
    engine: Engine, customers: np.ndarray
) -> None:
    rows = rows_of(engine, customers[:2_000])
    for wanted in (1, 17, 1_999, 2_000):
        assert in_place.sample_by_key(rows, 1, wanted, 2_000).shape == (wanted, 4)
    assert in_place.sample_by_key(rows, 1, 5_000, 2_000).shape == (2_000, 4)
    first, other = (in_place.sample_by_key(rows, seed, 300, 2_000) for seed in (1, 2))
    assert not np.array_equal(first, other)
    # No place in the table is preferred.
    spread = in_place.sample_by_key(rows, 1, 1_000, 2_000)[:, 0].mean()
    assert spread == pytest.approx(customers[:2_000, 0].mean(), rel=0.1)


def test_the_digest_hangs_on_keys_and_every_feature(engine: Engine, customers: np.ndarray) -> None:
    few = customers[:50]
    changed = few.copy()
    changed[7, 2] += 1
    swapped = few.copy()
    swapped[[3, 4], 1] = few[[4, 3], 1]
    digests = {in_place.digest_of_rows(rows_of(engine, rows)) for rows in (few, changed, swapped)}
    digests.add(in_place.digest_of_rows(rows_of(engine, few[:49])))
    assert len(digests) == 4


def test_a_centre_without_rows_stays_and_counts_for_nothing(engine: Engine) -> None:
    values = np.array([[0.0, 0, 0, 0], [1, 1, 1, 0], [9, 9, 9, 0], [10, 10, 10, 0]])
    rows = rows_of(engine, values)
    treatment = in_place.measure_features(rows)
    far = np.full(4, 50.0)
    centres = np.vstack([treatment.apply(values[[0, 3]]), far])
    (found,) = in_place.place(rows, treatment, [centres])
    assert found.sizes == (2, 2, 0)
    assert (found.moved()[2] == far).all()
    (separation,) = in_place.silhouettes(rows, treatment, [found])
    expected = silhouette_squared_euclidean(treatment.apply(values), [0, 0, 1, 1])
    assert separation == pytest.approx(expected, abs=1e-12)


WORKER = """
import pickle, sys
class Nothing:
    def find_spec(self, name, *_):
        if name.startswith("lakehouse_assets"):
            raise ImportError(name + " is not on this machine")
sys.meta_path.insert(0, Nothing())
import pyarrow as pa
work = pickle.load(sys.stdin.buffer)
(found,) = work([pa.record_batch({"a": [0.0, 9.0, 9.0], "b": [0.0, 9.0, 9.0]})])
print(found["totals"][0].as_py())
"""


def test_spark_sends_what_its_workers_need_of_this_project() -> None:
    result = pa.schema([("totals", pa.string())])
    centres = np.array([[0.0, 0.0], [8.0, 8.0]])
    sizes, squares = np.array([1.0, 2.0]), np.array([0.0, 162.0])
    for measure, shape in (
        (tallies(np.zeros(2), np.ones(2), [centres]), (2, 5)),
        (separations(np.zeros(2), np.ones(2), [(centres, sizes, centres, squares)]), (1, 1)),
        (moments(np.zeros(2), np.ones(2)), (1, 5)),
    ):
        work = folding(["a", "b"], result, adding_up(["a", "b"], [shape], measure, result))
        sent = cloudpickle.dumps(_sent_whole(work))
        done = subprocess.run(
            [sys.executable, "-c", WORKER], input=sent, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        here = next(iter(work([pa.record_batch({"a": [0.0, 9.0, 9.0], "b": [0.0, 9.0, 9.0]})])))
        assert done.stdout.decode().strip() == here["totals"][0].as_py()


def test_a_missing_number_is_named(either: Engine) -> None:
    table = pa.table({"key": [1, 2], "a": [1.0, 2.0], "b": [1.0, float("nan")]})
    rows = KeyedRows(either, either.from_arrow(table), "key", ("a", "b"))
    with pytest.raises(LakehouseError, match="b: missing or infinite values"):
        in_place.measure_features(rows)


def test_an_adopted_model_is_the_one_that_scikit_learn_would_have_made(
    engine: Engine, customers: np.ndarray
) -> None:
    few = customers[:4_000]
    rows = rows_of(engine, few)
    treatment = in_place.measure_features(rows)
    scaled = StandardScaler().fit_transform(few)
    starts = {3: [KMeans(3, n_init=2, random_state=1).fit(scaled).cluster_centers_]}
    models = in_place.refine(rows, treatment, starts, 300)
    fit = InPlaceFit(
        NAMES, treatment, models, {3: 0.5}, {3: 2},
        in_place.sample_by_key(rows, 1, 1_000, 4_000), "test",
    )  # fmt: skip
    result = clustering_result(fit, ClusteringConfig(k=3, n_init=2, sweep=(3,)))
    labels = score(result.pipeline, few)
    assert tuple(np.bincount(labels)) == result.sizes
    assert list(result.pipeline.feature_names_in_) == list(NAMES)
    assert [point.k for point in result.sweep] == [3]
    assert result.centres == pytest.approx(
        np.array([few[labels == cluster].mean(axis=0) for cluster in range(3)]), rel=0.01
    )
    assert 0 < result.silhouette_euclidean < 1
