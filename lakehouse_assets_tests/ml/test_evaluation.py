"""Seeds, scores and intervals of evaluations, and what finds their leaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from lakehouse_assets.domains.retail.datasets.customers import CUSTOMERS
from lakehouse_assets.domains.retail.models.churn import FEATURES, fit_baselines
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.binary import corrected_interval, refuse, scores, splits
from lakehouse_assets.ml.evaluation import parse_seeds
from lakehouse_assets.ml.leaks import HeldOut, findings, revealing_columns
from lakehouse_assets.sample.retail.customers import columns_of, new_customers


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("0-4", (0, 1, 2, 3, 4)), ("0,3,7", (0, 3, 7)), ("7, 1-2,7", (7, 1, 2)), ("0", (0,))],
)
def test_seeds_are_numbers_and_ranges(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "4-0", "a", "1,,2", "-1", "1.5", "4294967296", "0-1000"])
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(LakehouseError, match=r"--seeds .*; give"):
        parse_seeds(text)


def test_scores_of_four_rows() -> None:
    found = scores(np.array([0, 1, 0, 1]), np.array([0.12, 0.14, 0.5, 1.0]))
    # Of four pairs of a 1 and a 0, three are in order. Bins: .12 and .14 against 1 of 2; .5; 1.
    assert found["auc"] == 0.75
    assert found["brier"] == pytest.approx((0.12**2 + 0.86**2 + 0.5**2) / 4)
    assert found["ece"] == pytest.approx((abs(0.26 - 1) + 0.5 + 0) / 4)


def test_the_interval_is_wider_than_that_of_independent_splits() -> None:
    low, high = corrected_interval([0.01, 0.02, 0.03, 0.04, 0.05], 0.2)
    # 2.776 is Student's t for four degrees; (1/5 + 1/4) times the variance of 0.00025.
    assert (low + high) / 2 == pytest.approx(0.03)
    assert (high - low) / 2 == pytest.approx(2.7764 * (0.45 * 0.00025) ** 0.5, rel=1e-4)


def test_the_first_split_is_the_protocol_s_and_the_others_hold_out_the_rest() -> None:
    from sklearn.model_selection import train_test_split

    labels = np.arange(200) % 4 // 3
    found = list(splits(labels, 7))
    _, expected = train_test_split(np.arange(200), test_size=0.2, stratify=labels, random_state=7)
    assert found[0][1].tolist() == expected.tolist()
    assert sorted(np.concatenate([held for _, held in found])) == list(range(200))
    for fitted, held in found:
        assert sorted([*fitted, *held]) == list(range(200))
        assert labels[held].mean() == 0.25


# --- leaks -------------------------------------------------------------------------------------


@dataclass
class People:
    """Generated customers: features as the model has them, and labels."""

    rows: pa.Table
    labels: npt.NDArray[np.int64]

    def take(self, places: npt.NDArray[np.int64]) -> People:
        return People(self.rows.take(places), self.labels[places])


@pytest.fixture(scope="module")
def people() -> People:
    made = columns_of(new_customers(np.random.default_rng(1), 5_000)).values()
    columns = {
        field.name: [str(v) for v in values]
        for field, values in zip(CUSTOMERS.columns, made, strict=False)
    }
    labels = np.array([int(value == "Yes") for value in columns["churn"]])
    rows = pa.table({name: columns[name] for name in FEATURES})
    for place in range(3):
        numbers = [float(value or "nan") for value in rows.column(place).to_pylist()]
        rows = rows.set_column(place, FEATURES[place], pa.array(numbers))
    return People(rows, labels)


def found_in(people: People, seed: int) -> list[str]:
    """Split, fit the baselines, and look for leaks."""
    fitted, held = next(splits(people.labels, seed))
    one, other = people.take(fitted), people.take(held)
    split = HeldOut(one.rows, one.labels, other.rows, other.labels)
    predicted = fit_baselines(one.rows, one.labels)(other.rows)
    return findings(split, predicted, "logistic", "logistic")


@pytest.mark.parametrize("seed", range(4))
def test_honest_splits_have_no_findings(people: People, seed: int) -> None:
    assert found_in(people, seed) == []


def oversampled(people: People, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Repeat leavers until they are as many as the others."""
    leavers = np.flatnonzero(people.labels)
    more = len(people.labels) - 2 * len(leavers)
    return np.concatenate([np.arange(len(people.labels)), rng.choice(leavers, more)])


def edited(people: People, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Remove customers whose label is not that of their three nearest neighbours."""
    from sklearn.neighbors import NearestNeighbors

    numbers = np.column_stack([people.rows.column(i).to_numpy() for i in range(3)])
    numbers = np.nan_to_num((numbers - np.nanmean(numbers, 0)) / np.nanstd(numbers, 0))
    texts = [np.unique(people.rows[n].to_numpy(), return_inverse=True)[1] for n in FEATURES[3:]]
    points = np.hstack([numbers, *(np.eye(c.max() + 1)[c] for c in texts)])
    near = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(points)
    others = near.kneighbors(points, return_distance=False)[:, 1:]
    agree = (people.labels[others] == people.labels[:, None]).mean(axis=1) > 0.5
    return np.flatnonzero(agree)


@pytest.mark.parametrize(
    ("resample", "said"),
    [(oversampled, "with identical rows"), (edited, "with nearly identical rows")],
)
def test_resampling_before_the_split_is_found(people: People, resample, said) -> None:
    changed = people.take(resample(people, np.random.default_rng(0)))
    found = found_in(changed, 0)
    assert said in found[0]
    if resample is oversampled:
        # The forest remembers the copies.
        assert "AUC of random_forest" in found[-1]
    with pytest.raises(LakehouseError, match="shows a leak: held-out rows agree"):
        refuse(found)


def test_resampling_the_training_part_alone_is_no_leak(people: People) -> None:
    fitted, held = next(splits(people.labels, 0))
    one, other = people.take(fitted), people.take(held)
    one = one.take(oversampled(one, np.random.default_rng(0)))
    split = HeldOut(one.rows, one.labels, other.rows, other.labels)
    honest = people.take(fitted)
    predicted = fit_baselines(honest.rows, honest.labels)(other.rows)
    assert findings(split, predicted, "logistic", "logistic") == []


def test_columns_that_repeat_the_label_are_found(people: People) -> None:
    rng = np.random.default_rng(0)
    noisy = np.where(rng.random(len(people.labels)) < 0.02, 1 - people.labels, people.labels)
    rows = people.rows.append_column("copy", pa.array(np.array(["stays", "left"])[people.labels]))
    rows = rows.append_column("noisy", pa.array(noisy * 10.0 + rng.random(len(noisy))))
    rows = rows.append_column("id", pa.array([f"c{n}" for n in range(len(noisy))]))
    rows = rows.append_column("empty", pa.nulls(len(noisy), pa.string()))
    assert set(revealing_columns(rows, people.labels)) == {"copy", "noisy"}


def test_a_result_too_good_to_be_true_is_found(people: People) -> None:
    held = people.take(next(splits(people.labels, 0))[1])
    split = HeldOut(people.rows, people.labels, held.rows, held.labels)
    blind = np.full(len(held.labels), 0.25)
    perfect = np.where(held.labels == 1, 0.9, 0.1)
    found = findings(split, {"known": perfect, "blind": blind}, "known", "blind")
    assert "the AUC of known, 1.000, is too good to be true" in found
    # Of a few rows, anybody may guess all.
    few = people.take(np.arange(20))
    split = HeldOut(people.rows, people.labels, few.rows, few.labels)
    known = np.where(few.labels == 1, 0.6, 0.4)
    assert findings(split, {"known": known}, "known", "known") == []
