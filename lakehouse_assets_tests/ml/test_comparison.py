"""Differences between models: what their intervals contain, and how often."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.comparison import (
    Comparison,
    auc_interval,
    bootstrap_interval,
    by_auc,
    by_metric,
    worse_slices,
)


def drawn(seed: int, rows: int = 400) -> tuple[Any, Any, Any]:
    """Draw labels, and scores of two models, the first of which has a true AUC of .8556."""
    random = np.random.default_rng(seed)
    labels = random.integers(2, size=rows)
    signal = labels * 1.5 + random.normal(size=rows)
    return labels, signal, signal + random.normal(size=rows) * 0.7


def auc(labels: Any, scores: Any, counts: Any) -> float:
    """Return a weighted AUC of scores without ties."""
    order = np.argsort(scores)
    ones, zeros = counts[order] * labels[order], counts[order] * (1 - labels[order])
    return float((ones * np.cumsum(zeros)).sum() / (ones.sum() * zeros.sum()))


def test_the_auc_is_scikit_learns_with_ties_and_as_a_difference() -> None:
    labels, first, second = drawn(1)
    first, second = np.round(first, 1), np.round(second)
    areas = [roc_auc_score(labels, scores) for scores in (first, second)]
    assert auc_interval(labels, first).value == pytest.approx(areas[0])
    assert auc_interval(labels, first, second).value == pytest.approx(areas[0] - areas[1])
    assert auc_interval(labels == 1, first).value == pytest.approx(areas[0])


def test_delong_and_the_bootstrap_agree_on_an_interval() -> None:
    labels, first, second = drawn(2)
    for others in (None, second):
        exact = auc_interval(labels, first, others)
        drawn_ = bootstrap_interval(auc, labels, first, others)
        assert drawn_.value == pytest.approx(exact.value)
        width = exact.high - exact.low
        assert drawn_.low == pytest.approx(exact.low, abs=0.12 * width)
        assert drawn_.high == pytest.approx(exact.high, abs=0.12 * width)
        assert bootstrap_interval(auc, labels, first, others) == drawn_


def test_nineteen_of_twenty_intervals_hold_the_true_auc() -> None:
    held = 0
    for seed in range(200):
        labels, first, _ = drawn(seed, 300)
        found = auc_interval(labels, first)
        held += found.low <= 0.8556 <= found.high
    assert 0.9 * 200 <= held <= 0.99 * 200


def test_an_error_that_is_smaller_is_a_gain() -> None:
    labels = np.arange(200.0)
    near, far = labels + 1.0, labels + 3.0
    far[::2] += 1.0
    absolute = by_metric(
        "mae",
        lambda y, p, n: float((abs(y - p) * n).sum() / n.sum()),
        "expected",
        lower_is_better=True,
    )
    gain = absolute.estimate(labels, near, far)
    assert gain.value == pytest.approx(2.5)
    assert 2.3 < gain.low < 2.5 < gain.high < 2.7
    assert absolute.estimate(labels, near, None).value == pytest.approx(1.0)


def test_labels_may_be_text() -> None:
    labels = np.array(["Positive", "Negative", "Neutral"] * 60, dtype=object)
    predicted = labels.copy()
    predicted[:60] = "Neutral"

    def accuracy(wanted: Any, found: Any, counts: Any) -> float:
        return float(((wanted == found) * counts).sum() / counts.sum())

    found = by_metric("accuracy", accuracy, "sentiment").estimate(labels, predicted, labels)
    assert (round(found.value, 4), found.high < 0.0) == (-0.2222, True)


@pytest.mark.parametrize(
    ("comparison", "rule", "bound"),
    [
        (by_auc("p"), "better in auc (the interval of the difference is above 0)", 0.0),
        (by_auc("p", not_worse_by=0.005), "not worse by more than 0.005 in auc", -0.005),
    ],
)
def test_the_rule_is_in_words(comparison: Comparison, rule: str, bound: float) -> None:
    assert comparison.rule.startswith(rule)
    assert comparison.bound == bound


def test_only_slices_in_which_a_model_is_clearly_worse_are_found() -> None:
    labels, good, _ = drawn(3, 2_000)
    city = np.array(["A", "B"] * 1_000, dtype=object)
    rare = np.array(["x" if row < 100 and row % 2 else "y" for row in range(2_000)], dtype=object)
    worse = good.copy()
    # In B the scores say nothing; x is part of it, but too rare to judge.
    blind = city == "B"
    worse[blind] = np.random.default_rng(4).normal(size=blind.sum())
    comparison = dataclasses.replace(by_auc("p"), slices=("city", "rare"))
    found = worse_slices(comparison, [city, rare], labels, worse, good)
    assert set(found) == {"city B", "rare y"}
    assert found["city B"].high < -0.2
    assert worse_slices(comparison, [city, rare], labels, good, good) == {}


def test_one_label_is_too_few() -> None:
    with pytest.raises(LakehouseError, match="0 of label 1 and 9 of label 0; give more labelled"):
        auc_interval(np.zeros(9), np.arange(9.0))
