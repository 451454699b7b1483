"""Names for clusters, given by what their centres mean.

Belongs here: the personas, their stable codes and the ranking rule. Does not belong here:
fitting, tables, colours. Cluster ids are arbitrary and change with every training, so no rule
here looks at them (airline specification, sections 5 and 7: "name by centroid rank").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.clustering import SEGMENT_FEATURES

UNCATEGORIZED: Final = "Uncategorized"
"""Segment name of members that were left out of training, for instance without an age."""

NAMING_RULE: Final = 2
"""Number of the rule in `assign_personas`; with another one the same clusters are another model."""

FIRST_SURPLUS_CODE: Final = 6
"""First code of the additional occasional segments when there are more than five clusters."""

_VALUE_FEATURES: Final = ("recency_score", "frequency_score", "monetary_score", "total_spent")
_REQUIRED: Final = (
    *_VALUE_FEATURES,
    "total_loyalty_points",
    "total_km_flown",
    "total_flights",
    "days_since_last_flight",
)
# Centres carry rounding noise of about 1e-12 (a mean of zeros is rarely exactly 0), and a rank
# would turn that noise into an order. None of the features means anything below a millionth.
_DECIMALS: Final = 6
# The frequency score that ten flights get.
_TEN_FLIGHTS: Final = 3


@dataclass(frozen=True)
class Persona:
    """A named segment: `code` is the table's segment number, unique within one clustering."""

    code: int
    name: str


PREMIUM: Final = Persona(1, "Premium Elite Members")
LOYAL: Final = Persona(2, "Loyal Frequent Flyers")
NEW: Final = Persona(3, "New Joiners")
OCCASIONAL: Final = Persona(4, "Occasional Travelers")
AT_RISK: Final = Persona(5, "At-Risk Customers")

PERSONAS: Final[tuple[Persona, ...]] = (PREMIUM, LOYAL, NEW, OCCASIONAL, AT_RISK)
"""The five personas in the order of their codes."""

_Centre = dict[str, float]


def assign_personas(
    centres: npt.NDArray[np.float64], feature_names: Sequence[str] = SEGMENT_FEATURES
) -> list[Persona]:
    """Name each cluster by the rank of its centre (specification section 5, "Intent").

    In this order, each step choosing among the clusters that are left:

    1. Premium Elite Members: the highest sum of ranks over the three RFM scores and
       total_spent; ties by total_loyalty_points, then total_km_flown. Ranks rather than values,
       so that a tiny cluster with one extreme amount does not win by that amount alone.
    2. At-Risk Customers: the most days since the last flight.
    3. Loyal Frequent Flyers: the most flights.
    4. New Joiners: of those that fly little (a mean frequency score below 3, that is fewer than
       ten flights), the fewest days since the last flight; of all, if none flies little. When
       people joined is no feature, so this is as near to the intent as centres come.
    5. Occasional Travelers: the others. With more than five clusters there are several; by
       descending monetary score (then spend, then points) they get the codes 4, 6, 7, ...

    With fewer than five clusters the later names stay unused. What is still tied is decided by
    the remaining values of the centre, so the names depend on the centres alone, never on the
    order of the clusters.

    Args:
        centres: One row per cluster, in original units.
        feature_names: Names of the columns; extra features are allowed.

    Returns:
        One persona per cluster, in the order of the rows.

    Raises:
        LakehouseError: If a needed feature is missing, the shape does not fit, a value is not
            finite, or there are fewer than two clusters.
    """
    names = list(feature_names)
    _check_centres(centres, names)
    table = [dict(zip(names, row, strict=True)) for row in np.round(centres, _DECIMALS).tolist()]
    value_rank = [
        sum(sum(other[f] < centre[f] for other in table) for f in _VALUE_FEATURES)
        for centre in table
    ]
    left = list(range(len(table)))
    result: dict[int, Persona] = {}

    def take(persona: Persona, order: Callable[[int], tuple[float, ...]]) -> None:
        if left:
            # The whole centre comes last: any fixed rule will do, as long as it ignores the id.
            best = max(left, key=lambda i: (*order(i), *(table[i][f] for f in names)))
            left.remove(best)
            result[best] = persona

    def values(i: int, *features: str) -> tuple[float, ...]:
        return tuple(table[i][f] for f in features)

    take(PREMIUM, lambda i: (value_rank[i], *values(i, "total_loyalty_points", "total_km_flown")))
    take(AT_RISK, lambda i: values(i, "days_since_last_flight"))
    take(LOYAL, lambda i: values(i, "total_flights"))
    take(NEW, lambda i: (_flies_little(table[i]), -table[i]["days_since_last_flight"]))
    surplus = FIRST_SURPLUS_CODE
    occasional = OCCASIONAL
    while left:
        take(
            occasional, lambda i: values(i, "monetary_score", "total_spent", "total_loyalty_points")
        )
        occasional = Persona(surplus, OCCASIONAL.name)
        surplus += 1
    return [result[i] for i in range(len(table))]


def _flies_little(centre: _Centre) -> bool:
    return centre["frequency_score"] < _TEN_FLIGHTS


def _check_centres(centres: npt.NDArray[np.float64], names: list[str]) -> None:
    """Refuse centres that cannot be ranked."""
    missing = [f for f in _REQUIRED if f not in names]
    if missing:
        msg = f"Personas need the features {', '.join(missing)}; add them to the clustering."
        raise LakehouseError(msg)
    if centres.ndim != 2 or centres.shape[1] != len(names):
        msg = f"Centres of shape {centres.shape} do not fit the {len(names)} named features."
        raise LakehouseError(msg)
    if len(centres) < 2:
        msg = "Personas compare clusters with each other; fit at least two."
        raise LakehouseError(msg)
    if not np.isfinite(centres).all():
        msg = "A cluster centre is not finite; clean the features and fit again."
        raise LakehouseError(msg)
