"""Clustering: determinism, quality figures against their definitions, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_samples, silhouette_score

from lakehouse_assets.domains.airline.models import kmeans
from lakehouse_assets.domains.airline.models.kmeans import (
    ClusteringConfig,
    fit_clusters,
    nearest,
    silhouette_squared_euclidean,
    unscaled_centres,
)
from lakehouse_assets.domains.airline.models.segments import SEGMENT_FEATURES
from lakehouse_assets.errors import LakehouseError

NAMES = ("flights", "points", "days")


def _blobs(rows: int = 600, columns: int = 3, centres: int = 5, seed: int = 7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    middles = rng.uniform(-20, 20, size=(centres, columns))
    return middles[rng.integers(centres, size=rows)] + rng.normal(size=(rows, columns))


def _brute_force(rows: np.ndarray, labels: np.ndarray) -> float:
    scores = []
    for i, row in enumerate(rows):
        distances = ((rows - row) ** 2).sum(axis=1)
        own = labels == labels[i]
        if own.sum() == 1:
            scores.append(0.0)
            continue
        inner = distances[own].sum() / (own.sum() - 1)
        outer = min(distances[labels == c].mean() for c in set(labels) - {labels[i]})
        larger = max(inner, outer)
        scores.append((outer - inner) / larger if larger > 0 else 0.0)
    return float(np.mean(scores))


def test_the_features_are_the_specifications_ten_in_order():
    assert SEGMENT_FEATURES == (
        "age", "total_flights", "total_km_flown", "total_loyalty_points",
        "days_since_last_flight", "total_spent", "transaction_count",
        "recency_score", "frequency_score", "monetary_score",
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.integers(4, 40), st.integers(2, 6), st.integers(0, 10_000), st.booleans())
def test_squared_silhouette_equals_its_definition(rows, clusters, seed, far_away):
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 4, size=(rows, 3)).astype(float) + (1e5 if far_away else 0.0)
    labels = rng.integers(0, clusters, size=rows) * 10 - 3
    labels[:2] = (0, 1)
    assert silhouette_squared_euclidean(x, labels) == pytest.approx(
        _brute_force(x, labels), abs=1e-7
    )


def test_identical_rows_and_a_single_cluster_have_no_silhouette():
    assert silhouette_squared_euclidean(np.full((6, 2), 3.3), [0, 0, 0, 1, 1, 1]) == 0.0
    assert np.isnan(silhouette_squared_euclidean(_blobs(10), [0] * 10))


def test_fit_finds_the_blobs_and_reports_in_both_units():
    x = _blobs() * [1.0, 1000.0, 0.01]
    result = fit_clusters(x, ClusteringConfig(), NAMES)
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    assert sum(result.sizes) == len(x)
    assert result.sizes == np.bincount(result.labels).tolist()
    for cluster in range(5):
        members = result.labels == cluster
        assert result.centres[cluster] == pytest.approx(x[members].mean(axis=0), rel=1e-6)
        assert result.centres_standardised[cluster] == pytest.approx(
            scaled[members].mean(axis=0), abs=1e-6
        )
    own = result.centres_standardised[result.labels]
    assert result.quality.metrics["inertia"] == pytest.approx(((scaled - own) ** 2).sum())
    assert result.quality.metrics["silhouette_squared_euclidean"] == pytest.approx(
        silhouette_score(scaled, result.labels, metric="sqeuclidean")
    )
    assert result.quality.metrics["silhouette_euclidean"] == pytest.approx(
        silhouette_score(scaled, result.labels)
    )
    assert (
        result.quality.metrics["silhouette_squared_euclidean"]
        > result.quality.metrics["silhouette_euclidean"]
        > 0.3
    )
    assert result.silhouette_sample_rows == len(x)


def test_euclidean_silhouette_is_scikit_learns_on_a_seeded_sample(monkeypatch):
    monkeypatch.setattr(kmeans, "SILHOUETTE_SAMPLE_ROWS", 300)
    x = _blobs(1000)
    result = fit_clusters(x, ClusteringConfig(sweep=()), NAMES)
    chosen = np.sort(np.random.default_rng(42).choice(1000, 300, replace=False))
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    expected = silhouette_samples(scaled[chosen], result.labels[chosen]).mean()
    assert result.quality.metrics["silhouette_euclidean"] == pytest.approx(expected, abs=1e-9)
    assert result.silhouette_sample_rows == 300


def test_a_sample_of_a_single_cluster_has_no_euclidean_silhouette(monkeypatch):
    monkeypatch.setattr(kmeans, "SILHOUETTE_SAMPLE_ROWS", 1)
    result = fit_clusters(_blobs(50), ClusteringConfig(k=2, sweep=()), NAMES)
    assert np.isnan(result.quality.metrics["silhouette_euclidean"])
    assert result.quality.metrics["silhouette_squared_euclidean"] > 0


@pytest.mark.parametrize(("k", "values"), [(3, [1, 50, 900]), (2, [4, 8]), (1, [7])])
def test_unscaled_centres_are_numbered_by_their_last_column(k, values):
    rows = np.repeat(np.array(values[::-1], dtype=float), 60)[:, None] * [2.0, 1.0]
    centres = unscaled_centres(rows, ClusteringConfig(k=3, n_init=2, sweep=()))
    assert len(centres) == k
    assert centres[nearest(rows, centres)] == pytest.approx(rows)
    assert centres[:, 1].tolist() == pytest.approx(sorted(values))


def test_sweep_reuses_the_chosen_k_and_starts_less_often_elsewhere():
    """Two fits agree to the byte; they leave their input alone and know its columns."""
    x = _blobs()
    before = x.copy()
    result, again = (fit_clusters(x, ClusteringConfig(sweep=(7, 5, 3)), NAMES) for _ in range(2))
    assert np.array_equal(x, before)
    assert result.labels.tobytes() == again.labels.tobytes()
    assert result.centres.tobytes() == again.centres.tobytes()
    assert result.sweep == again.sweep
    assert tuple(result.pipeline["scaler"].feature_names_in_) == NAMES
    assert [(point.k, point.n_init) for point in result.sweep] == [(3, 3), (5, 10), (7, 3)]
    assert result.sweep[1] == result.quality
    inertias = [point.metrics["inertia"] for point in result.sweep]
    assert inertias == sorted(inertias, reverse=True)


def test_sweep_leaves_out_more_clusters_than_distinct_rows():
    x = np.repeat(_blobs(4), 3, axis=0)
    result = fit_clusters(x, ClusteringConfig(k=2, sweep=(2, 4, 5)), NAMES)
    assert [point.k for point in result.sweep] == [2, 4]


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"k": 1}, "k is 1; it must be a whole number of at least 2"),
        ({"k": 2.0}, "k is 2.0"),
        ({"k": True}, "k is True"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "at most 4294967295"),
        ({"n_init": 0}, "n_init is 0"),
        ({"max_iter": 0}, "max_iter is 0"),
        ({"sweep": (3, 1)}, "each k of the sweep is 1"),
        ({"sweep": (3, 3)}, "lists a k twice"),
    ],
)
def test_settings_out_of_range_are_refused(settings_, message):
    with pytest.raises(LakehouseError, match=message):
        ClusteringConfig(**settings_)


def test_rows_that_cannot_be_clustered_are_refused_by_name():
    good = _blobs(20)
    holes = good.copy()
    holes[3, 1] = np.nan
    holes[4, 2] = np.inf
    config = ClusteringConfig(sweep=())
    for rows, message in (
        (holes, "columns points, days hold missing or infinite"),
        (good[:4], "only 4 distinct rows for 5 clusters"),
        (np.repeat(good[:3], 4, axis=0), "only 3 distinct rows for 5 clusters"),
    ):
        with pytest.raises(LakehouseError, match=message):
            fit_clusters(rows, config, NAMES)


def test_a_constant_column_tells_nobody_apart_and_does_no_harm():
    flat = _blobs(20)
    flat[:, 2] = 7.0
    config = ClusteringConfig(sweep=())
    result = fit_clusters(flat, config, NAMES)
    assert (result.centres_standardised[:, 2] == 0).all()
    assert (result.centres[:, 2] == 7.0).all()
