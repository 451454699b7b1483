"""The personas of members: names, stable codes, and their rules in words.

`gold.segments.with_personas` implements the rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

UNCATEGORIZED: Final = "Uncategorized"
"""Segment name of members that were left out of training, for instance without an age."""

UNCATEGORIZED_RULE: Final = "A feature of the clustering is missing, for instance the age."

VALUE: Final = "total_loyalty_points"
"""The feature by whose mean clusters are ranked: the one in which the elite stands apart most.

In the first cluster its mean is 2.7 times that of the second or more, on the real members and in
each month of the sample for 3 to 8 clusters: no small change swaps the two. Spend is not used,
since one extreme amount makes a tiny cluster of its own.
"""

NEW_WITHIN_DAYS: Final = 365
FEW_FLIGHTS_BELOW: Final = 10
ACTIVE_WITHIN_DAYS: Final = 90
"""Also the bound of the customer status `Active`."""


@dataclass(frozen=True)
class Persona:
    """A kind of member.

    Attributes:
        code: Number of the segment in the tables.
        name: Name of the segment.
        rule: Who belongs to it; no member fits two rules.
    """

    code: int
    name: str
    rule: str


PREMIUM: Final = Persona(
    1,
    "Premium Elite Members",
    f"Flew in the last {ACTIVE_WITHIN_DAYS} days, at least {FEW_FLIGHTS_BELOW} flights, and in "
    "cluster 0, which has the highest mean of loyalty points.",
)
LOYAL: Final = Persona(
    2,
    "Loyal Frequent Flyers",
    f"Flew in the last {ACTIVE_WITHIN_DAYS} days, at least {FEW_FLIGHTS_BELOW} flights, and in "
    "another cluster than 0.",
)
NEW: Final = Persona(
    3,
    "New Joiners",
    f"Joined in the last {NEW_WITHIN_DAYS} days, and fewer than {FEW_FLIGHTS_BELOW} flights.",
)
OCCASIONAL: Final = Persona(
    4,
    "Occasional Travelers",
    f"Flew in the last {ACTIVE_WITHIN_DAYS} days, fewer than {FEW_FLIGHTS_BELOW} flights, and "
    f"joined more than {NEW_WITHIN_DAYS} days ago.",
)
AT_RISK: Final = Persona(
    5,
    "At-Risk Customers",
    f"No flight for more than {ACTIVE_WITHIN_DAYS} days (status At Risk or Inactive), and no New "
    "Joiner.",
)

PERSONAS: Final[tuple[Persona, ...]] = (PREMIUM, LOYAL, NEW, OCCASIONAL, AT_RISK)
"""The five personas in the order of their codes; each member fits exactly one rule."""
