"""The personas of members: names, stable codes, and their rules in words.

`gold.segments.with_personas` implements the rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

UNCATEGORIZED: Final = "Uncategorized"
"""Segment name of members without a cluster, such as those without an age."""

UNCATEGORIZED_RULE: Final = "A value that the clusters need is missing, such as the age."

VALUE: Final = "total_loyalty_points"
"""The feature by whose mean clusters are ranked.

Its mean in the first cluster is at least 2.7 times that in the second, on the real members and in
each month of the sample for 3 to 8 clusters, so small changes do not swap the two. Spend is not
used, because one extreme amount makes a tiny cluster of its own.
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
    f"Last flight at most {ACTIVE_WITHIN_DAYS} days ago, at least {FEW_FLIGHTS_BELOW} flights, and "
    "in cluster 0, which has the highest mean of loyalty points.",
)
LOYAL: Final = Persona(
    2,
    "Loyal Frequent Flyers",
    f"Last flight at most {ACTIVE_WITHIN_DAYS} days ago, at least {FEW_FLIGHTS_BELOW} flights, and "
    "not in cluster 0.",
)
NEW: Final = Persona(
    3,
    "New Joiners",
    f"Joined at most {NEW_WITHIN_DAYS} days ago, and fewer than {FEW_FLIGHTS_BELOW} flights.",
)
OCCASIONAL: Final = Persona(
    4,
    "Occasional Travelers",
    f"Last flight at most {ACTIVE_WITHIN_DAYS} days ago, fewer than {FEW_FLIGHTS_BELOW} flights, "
    f"and joined more than {NEW_WITHIN_DAYS} days ago.",
)
AT_RISK: Final = Persona(
    5,
    "At-Risk Customers",
    f"Last flight more than {ACTIVE_WITHIN_DAYS} days ago (status At Risk or Inactive), and not a "
    "New Joiner.",
)

PERSONAS: Final[tuple[Persona, ...]] = (PREMIUM, LOYAL, NEW, OCCASIONAL, AT_RISK)
"""The five personas in the order of their codes; each member fits exactly one rule."""
