"""Training up to the bound and beyond it: the same customers together, and no rows fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql.classic.dataframe import DataFrame

from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml import training
from lakehouse_assets.ml.clustering import SEGMENT_FEATURES, ClusteringConfig
from lakehouse_assets.ml.training import Trained, label_unscaled, train_segments

CONFIG = ClusteringConfig(n_init=2, sweep=(4,))
BLOBS, EACH = 5, 300
ROWS = BLOBS * EACH


@pytest.fixture(params=["engine", "spark_engine"])
def either(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn, the active one of the test."""
    found: Engine = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def customers() -> pa.Table:
    """Five kinds of customers that nobody can mix up, in no order, and three without an age."""
    rng = np.random.default_rng(8)
    middles = rng.permuted(np.tile(np.arange(BLOBS) * 100.0 + 100, (10, 1)), axis=1).T
    values = np.repeat(middles, EACH, axis=0) + np.round(rng.normal(size=(ROWS, 10)), 2)
    shuffled = rng.permutation(ROWS)
    columns: dict[str, Any] = {"customer_key": pa.array(shuffled, pa.int32())}
    for place, name in enumerate(SEGMENT_FEATURES):
        column = values[shuffled, place]
        if name == "total_spent":
            exact = [Decimal(f"{value:.2f}") for value in column]
            columns[name] = pa.array(exact, pa.decimal128(18, 2))
        else:
            columns[name] = pa.array(np.round(column).astype(int), pa.int32())
    ages = columns["age"].to_pylist()
    ages[5] = ages[50] = ages[500] = None
    columns["age"] = pa.array(ages, pa.int32())
    return pa.table(columns)


class Counting:
    """Notes how many rows each question to Spark brings to the driver."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.largest = 0
        original = type(engine).arrow_stream

        def stream(engine: Engine, *arguments: Any, **named: Any) -> pa.RecordBatchReader:
            reader = original(engine, *arguments, **named)

            def batches() -> Iterator[pa.RecordBatch]:
                rows = 0
                for batch in reader:
                    rows += batch.num_rows
                    self.largest = max(self.largest, rows)
                    yield batch

            return pa.RecordBatchReader.from_batches(reader.schema, batches())

        monkeypatch.setattr(type(engine), "arrow_stream", stream)
        for name in ("toArrow", "collect", "toPandas"):
            monkeypatch.setattr(DataFrame, name, self._counted(getattr(DataFrame, name)))

    def _counted(self, ask: Any) -> Any:
        def asked(frame: Any, *arguments: Any, **named: Any) -> Any:
            answer = ask(frame, *arguments, **named)
            self.largest = max(self.largest, len(answer))
            return answer

        return asked


def clusters_of(engine: Engine, trained: Trained) -> dict[int, int]:
    """Return the cluster of each labelled customer."""
    rows = engine.arrow_stream(trained.labels).read_all().to_pylist()
    return {row["labelled_key"]: row["cluster"] for row in rows}


def train(engine: Engine, customers: pa.Table, bound: int, **config: Any) -> Trained:
    settings = ClusteringConfig(**config) if config else CONFIG
    frame = engine.from_arrow(customers)
    return train_segments(engine, frame, "customer_key", SEGMENT_FEATURES, settings, bound)


def kinds(labels: dict[int, Any]) -> set[frozenset[int]]:
    """Return who is together with whom, whatever their clusters are called."""
    together: dict[Any, set[int]] = {}
    for key, label in labels.items():
        together.setdefault(label, set()).add(key)
    return {frozenset(keys) for keys in together.values()}


def test_beyond_the_bound_the_same_customers_get_the_same_segments(
    either: Engine, customers: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = train(either, customers, ROWS)
    monkeypatch.setattr(training, "SILHOUETTE_SAMPLE_ROWS", 200)
    counting = Counting(either, monkeypatch)
    far = train(either, customers, 400)
    assert held.segmentation is not None
    assert far.segmentation is not None
    assert far.segmentation.result.labels is None
    assert held.rows == far.rows == ROWS - 3
    if either.name == "spark":
        # Only the sample came; the filter by hash lets a few more through, which are cut off.
        assert 200 <= counting.largest < 400
        assert far.segmentation.result.trained_by == "Spark ML on all rows, refined on all rows"
    else:
        sampled = "scikit-learn on a sample of 400 rows, refined on all rows"
        assert far.segmentation.result.trained_by == sampled
    monkeypatch.undo()
    segments = clusters_of(either, far)
    assert segments == clusters_of(either, held)
    assert {len(together) for together in kinds(segments)} <= {EACH, EACH - 1, EACH - 2, EACH - 3}
    for figure in ("inertia", "silhouette_squared_euclidean"):
        near, other = (getattr(f.segmentation.result, figure) for f in (held, far))
        assert other == pytest.approx(near, rel=1e-9)
    assert far.input_digest != held.input_digest


def test_the_bound_is_the_last_number_that_is_fetched(engine: Engine, customers: pa.Table) -> None:
    quick = {"n_init": 1, "sweep": ()}
    for bound, fetched in ((ROWS - 3, True), (ROWS - 4, False)):
        found = train(engine, customers, bound, **quick).segmentation
        assert found is not None
        assert (found.result.labels is not None) == fetched


def test_training_again_finds_the_same_to_the_bit(
    spark_engine: Engine, customers: pa.Table
) -> None:
    quick = {"n_init": 1, "sweep": ()}
    backwards = customers.take(list(reversed(range(ROWS))))
    first, again = (train(spark_engine, rows, 400, **quick) for rows in (customers, backwards))
    assert first.segmentation is not None
    assert again.segmentation is not None
    assert first.input_digest == again.input_digest
    for figure in ("inertia", "silhouette_squared_euclidean", "silhouette_euclidean"):
        results = first.segmentation.result, again.segmentation.result
        assert getattr(results[0], figure) == getattr(results[1], figure)
    assert clusters_of(spark_engine, first) == clusters_of(spark_engine, again)


def few(values: Sequence[int], times: int) -> pa.Table:
    numbers = list(values) * times
    return pa.table(
        {"customer_key": range(len(numbers)), **dict.fromkeys(SEGMENT_FEATURES, numbers)}
    )


def test_too_few_different_rows_are_refused(engine: Engine) -> None:
    with pytest.raises(LakehouseError, match="only 4 distinct rows for 5 clusters"):
        train(engine, few(range(4), 50), 100)
    # All five are there, but nearly never among so few.
    rare = pa.concat_tables([few([0, 1], 1_000), few(range(2, 6), 1)])
    rare = rare.set_column(0, "customer_key", pa.array(range(rare.num_rows)))
    with pytest.raises(LakehouseError, match=r"raise LAKEHOUSE_TRAINING_ROWS or lower k"):
        train(engine, rare, 100)


def test_fewer_rows_than_segments_get_none(engine: Engine) -> None:
    found = train(engine, few(range(3), 1), 100)
    assert (found.rows, found.segmentation) == (3, None)
    assert clusters_of(engine, found) == {}


@pytest.mark.parametrize(("k", "values"), [(3, [1, 50, 900]), (2, [4, 8]), (1, [7])])
def test_unscaled_clusters_are_the_same_beyond_the_bound(
    engine: Engine, k: int, values: list[int]
) -> None:
    frame = engine.from_arrow(few(values, 60))
    config = ClusteringConfig(k=3, n_init=2, sweep=())
    names = ("total_flights", "total_loyalty_points")
    labels = [
        engine.rows(label_unscaled(engine, frame, "customer_key", names, config, bound))
        for bound in (1_000, 100)
    ]
    found, expected = ({row["labelled_key"]: row["cluster"] for row in rows} for rows in labels)
    assert found == expected
    assert set(found.values()) == set(range(k))
