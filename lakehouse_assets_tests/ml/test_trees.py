"""Trees as arrays score as XGBoost does, and share the score out as its exact Shapley values."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.trees import from_xgboost


def boosted(depth: int, rounds: int = 60) -> tuple[np.ndarray, xgboost.Booster]:
    """Fit trees to an interaction, with many equal values and early leaves."""
    random = np.random.default_rng(depth)
    columns = np.round(random.normal(size=(1_500, 6)), 1)
    labels = columns[:, 0] + columns[:, 1] * columns[:, 2] + random.normal(size=1_500) > 0.6
    params = {"objective": "binary:logistic", "max_depth": depth, "nthread": 1, "subsample": 0.7,
              "min_child_weight": 40, "seed": depth}  # fmt: skip
    data = xgboost.DMatrix(columns.astype(np.float32), labels, nthread=1)
    return columns, xgboost.train(params, data, rounds)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_scores_and_contributions_are_those_of_xgboost(depth: int) -> None:
    columns, booster = boosted(depth)
    trees = from_xgboost(booster, depth)
    data = xgboost.DMatrix(columns.astype(np.float32), nthread=1)
    shapley = booster.predict(data, pred_contribs=True)
    # XGBoost adds up in single precision.
    margins = trees.margins(columns)
    assert margins == pytest.approx(booster.predict(data, output_margin=True), abs=1e-5)
    assert trees.contributions(columns) == pytest.approx(shapley[:, :-1], abs=1e-5)
    assert trees.expected == pytest.approx(shapley[0, -1], abs=1e-5)
    for place in range(0, 1_500, 97):
        row = columns[place : place + 1]
        assert trees.margins(row)[0] == margins[place]
        assert trees.contributions(row).sum() + trees.expected == pytest.approx(margins[place])
    # Too large for single precision, as a request for scores may be.
    huge, large = np.full((2, 1, 6), [[[1e308]], [[3e38]]])
    assert trees.margins(huge) == trees.margins(large)


def test_deeper_trees_are_refused() -> None:
    with pytest.raises(LakehouseError, match="Trees of depth 4 are not supported; use 1 to 3"):
        from_xgboost(None, 4)
