"""Personas follow the meaning of a centre, never the number of its cluster."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.clustering import SEGMENT_FEATURES
from lakehouse_assets.ml.personas import PERSONAS, UNCATEGORIZED, Persona, assign_personas

# age, flights, km, points, days, spent, transactions, recency, frequency, monetary
PREMIUM = [45, 45, 65_000, 52_000, 40, 900, 3, 4.9, 4.8, 4.6]
LOYAL = [43, 20, 28_000, 21_000, 80, 300, 2, 4.5, 3.6, 3.7]
NEW = [38, 5, 7_000, 5_000, 60, 50, 1, 4.8, 1.8, 1.6]
OCCASIONAL = [42, 6, 8_000, 6_000, 170, 40, 1, 3.9, 1.9, 1.7]
AT_RISK = [44, 4, 5_000, 4_000, 480, 10, 0, 1.9, 1.5, 1.4]
FIVE = np.array([OCCASIONAL, LOYAL, AT_RISK, PREMIUM, NEW], dtype=float)


def _names(centres: np.ndarray) -> list[str]:
    return [persona.name for persona in assign_personas(centres)]


def test_the_five_personas_and_their_codes_are_stable():
    assert [(p.code, p.name) for p in PERSONAS] == [
        (1, "Premium Elite Members"),
        (2, "Loyal Frequent Flyers"),
        (3, "New Joiners"),
        (4, "Occasional Travelers"),
        (5, "At-Risk Customers"),
    ]
    assert UNCATEGORIZED == "Uncategorized"


def test_typical_centres_get_the_intended_names():
    assert assign_personas(FIVE) == [PERSONAS[i] for i in (3, 1, 4, 0, 2)]


def test_an_extreme_spend_alone_does_not_make_a_segment_premium():
    spender = [40, 3, 4_000, 3_000, 100, 1e7, 9, 4.0, 1.1, 1.1]
    centres = np.array([spender, PREMIUM, LOYAL, NEW, AT_RISK], dtype=float)
    assert _names(centres)[:2] == ["Occasional Travelers", "Premium Elite Members"]


def test_recent_frequent_flyers_are_no_new_joiners():
    """Six clusters of real members: the most recent ones left after Loyal fly 30 times."""
    frequent = [45, 29.6, 41_000, 36_000, 45, 0, 0, 4.8, 3.96, 4.1]
    little = [40, 2.5, 3_500, 1_960, 87, 0, 0, 4.5, 1.04, 1.1]
    top = [47, 79.4, 120_000, 177_000, 19, 0, 0, 4.95, 4.72, 5.0]
    gone = [35, 2.4, 3_400, 2_070, 435.4, 0, 0, 2.37, 1.02, 1.1]
    older = [53, 2.4, 3_600, 2_212, 434.6, 0, 0, 2.41, 1.04, 1.11]
    second = [43, 58.8, 80_000, 66_560, 20, 0, 0, 4.96, 4.91, 4.73]
    names = _names(np.array([frequent, little, top, gone, older, second]))
    assert names[1] == "New Joiners"
    assert names[0] == "Occasional Travelers"


def test_where_everybody_flies_much_the_most_recent_are_new():
    centres = FIVE.copy()
    centres[:, 8] = [3.1, 3.6, 3.2, 4.8, 3.0]
    assert _names(centres) == _names(FIVE)


def test_equal_ranks_are_decided_by_points_then_kilometres():
    high, low = list(PREMIUM), list(PREMIUM)
    low[3] -= 1
    assert _names(np.array([low, high, AT_RISK], dtype=float))[1] == "Premium Elite Members"
    low[3] = high[3]
    low[2] += 1
    assert _names(np.array([low, high, AT_RISK], dtype=float))[0] == "Premium Elite Members"


def test_rounding_noise_in_a_centre_is_not_a_rank():
    noisy = FIVE.copy()
    noisy[:, 5] = [0, 1e-13, 2e-13, 0, 3e-13]
    clean = FIVE.copy()
    clean[:, 5] = 0
    assert _names(noisy) == _names(clean)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_fewer_clusters_use_the_first_names_of_the_order(k):
    order = ["Premium Elite Members", "At-Risk Customers", "Loyal Frequent Flyers", "New Joiners"]
    centres = np.array([PREMIUM, AT_RISK, LOYAL, NEW], dtype=float)[:k]
    assert _names(centres) == order[:k]


def test_more_clusters_become_occasional_travelers_by_descending_monetary_score():
    richer, poorer = list(OCCASIONAL), list(OCCASIONAL)
    richer[9], poorer[9] = 1.75, 1.65
    personas = assign_personas(np.vstack([FIVE, [poorer, richer]]))
    assert personas[5:] == [
        Persona(7, "Occasional Travelers"),
        Persona(4, "Occasional Travelers"),
    ]
    assert personas[0] == Persona(6, "Occasional Travelers")
    assert len({persona.code for persona in personas}) == 7


_SMALL = st.integers(0, 3).map(float)
_CENTRES = st.lists(
    st.tuples(*[_SMALL] * len(SEGMENT_FEATURES)), min_size=2, max_size=8, unique=True
)


@settings(max_examples=150, deadline=None)
@given(_CENTRES, st.randoms(use_true_random=False))
def test_renumbering_the_clusters_renames_no_customer(centres, random):
    table = np.array(centres)
    labels = np.array([random.randrange(len(table)) for _ in range(30)])
    order = list(range(len(table)))
    random.shuffle(order)
    position = np.argsort(order)
    before, after = assign_personas(table), assign_personas(table[order])
    assert [before[i] for i in labels] == [after[position[i]] for i in labels]
    assert len({persona.code for persona in before}) == len(table)


def test_features_may_come_in_any_order_and_number():
    order = [9, 8, 7, 5, 4, 3, 2, 1]
    names = [SEGMENT_FEATURES[i] for i in order]
    assert assign_personas(FIVE[:, order], names) == assign_personas(FIVE)


def test_centres_that_cannot_be_ranked_are_refused():
    with pytest.raises(LakehouseError, match="need the features recency_score"):
        assign_personas(FIVE[:, :2], ["age", "total_flights"])
    with pytest.raises(LakehouseError, match="do not fit the 10 named features"):
        assign_personas(FIVE[:, :9])
    with pytest.raises(LakehouseError, match="fit at least two"):
        assign_personas(FIVE[:1])
    with pytest.raises(LakehouseError, match="not finite"):
        assign_personas(FIVE * np.nan)
