"""Clusters are ranked by what their centres are, never by the number that k-means gave them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lakehouse_assets.domains.airline.models.kmeans import ClusteringConfig, fit_clusters, ranked
from lakehouse_assets.domains.airline.models.personas import PERSONAS, UNCATEGORIZED, VALUE
from lakehouse_assets.domains.airline.models.segments import SEGMENT_FEATURES


def test_the_five_personas_and_their_codes_are_stable():
    assert [(p.code, p.name) for p in PERSONAS] == [
        (1, "Premium Elite Members"),
        (2, "Loyal Frequent Flyers"),
        (3, "New Joiners"),
        (4, "Occasional Travelers"),
        (5, "At-Risk Customers"),
    ]
    assert UNCATEGORIZED == "Uncategorized"
    assert len({p.rule for p in PERSONAS}) == 5


@pytest.mark.parametrize(("k", "seed"), [(2, 1), (5, 42), (6, 1)])
def test_cluster_0_has_the_most_points_in_labels_sizes_centres_and_the_saved_model(k, seed):
    rng = np.random.default_rng(8)
    kinds = rng.integers(6, size=600)
    rows = rng.normal(size=(600, 10)) + 30.0 * kinds[:, None]
    rows[:, 0] = rng.normal(size=600)
    found = fit_clusters(
        rows, ClusteringConfig(k=k, seed=seed, n_init=3, sweep=()), SEGMENT_FEATURES
    )
    again = ranked(found, VALUE)
    points = SEGMENT_FEATURES.index(VALUE)
    means = [rows[again.labels == cluster, points].mean() for cluster in range(k)]
    assert means == sorted(means, reverse=True)
    assert again.centres[:, points] == pytest.approx(means)
    assert again.sizes == np.bincount(again.labels).tolist()
    named = pd.DataFrame(rows, columns=list(SEGMENT_FEATURES))
    assert np.array_equal(again.pipeline.predict(named), again.labels)
    assert np.array_equal(again.pipeline["kmeans"].labels_, again.labels)
