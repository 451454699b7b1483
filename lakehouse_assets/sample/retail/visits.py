"""Weekly deliveries of website visits, calibrated to the reference lab's page Website Analytics.

The lab's numbers contradict each other: six segments of 29,773 visits with 90 to 94 % unhappy
visitors have more of them than 56.99 % of 45,195 visitors. Here, 45,195 visits by as many visitors
are the only base, and 56.99 % of them are unhappy. The first segment is that of the lab: no search
match, mobile, millennial; 25.2 % of all visits, 94.5 % unhappy. The lab does not define the others:
the second and the third have its sizes and shares, and are made of influencers that it names. Too
few unhappy visits are left for the other three. All other visits are unhappy by a logistic model of
the influencers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import compress
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lakehouse_assets.domains.retail.datasets.visits import AGE_GROUPS, HAPPY, NOT_HAPPY, VISITS
from lakehouse_assets.sample.retail.draws import Config, Floats, choose, deliver_csv, utc

FULL: Final = 15
"""The scale at which there are as many visitors as in the reference lab."""
VISITORS: Final = 45_195
BOUNCE_RATE: Final = 0.55
UNHAPPY: Final = 0.5699
# Share of all visits, and of the unhappy among them.
FIRST_SEGMENT: Final = (0.252, 0.945)
SECOND_SEGMENT: Final = (0.0645, 0.925)
THIRD_SEGMENT: Final = (0.115, 0.924)

COUNTRIES = {"USA": 18228, "Germany": 16962, "Japan": 3708, "Brazil": 3032}
# Highest age of each group with its share. The last one is open.
_AGES = {20: 0.08, 30: 0.27, 40: 0.27, 50: 0.17, 60: 0.12, 80: 0.09}
_YOUNGEST = 14
# Highest age of a generation, with the label as the sources write it.
_GENERATIONS = {21: "Gen Z (2000s - now)", 41: "Gen Y (80 ? 2000s)", 61: "Gen X (60 ? 80s)",
                80: "Baby Boomers (45 ? 60s)"}  # fmt: skip
_MILLENNIAL = 1
# Devices of millennials and of others.
_DEVICES: Mapping[bool, Mapping[str, float]] = {
    True: {"Mobile Phone": 0.78, "Laptop": 0.16, "Tablet": 0.06},
    False: {"Mobile Phone": 0.48, "Laptop": 0.36, "Tablet": 0.16},
}
_CATEGORIES = {"Beach Products": 38, "Adventure Sports": 28, "Accessories": 20, "Kitchen": 14}
# Referrers of visits that no third-party site redirected.
_REFERRERS = {"Search": 0.38, "Direct": 0.34, "Social": 0.28}
_TYPES = {"New": 0.45, "Returning": 0.33, "Repeat customer": 0.22}
_POOR, _DISCOUNT, _NO_MATCH, _REDIRECTED = 0.4, 0.35, 0.38, 0.29
# Logarithms of the odds ratios of being unhappy outside these segments.
_WEIGHTS = {"no_match": 1.2, "redirected": 1.0, "poor": 0.9, "no_discount": 0.8, "millennial": 0.6}
_BOUNCED = {True: 0.68, False: (BOUNCE_RATE - 0.68 * UNHAPPY) / (1 - UNHAPPY)}
AGAIN: Final = 0.01
"""Share of visits that are delivered again a week later."""

Marks = npt.NDArray[np.bool_]


def write_visits(config: Config, root: Path) -> list[Path]:
    """Write the deliveries, one a week; return the files."""
    rng = config.random("visits")
    total = max(config.weeks, round(VISITORS / FULL * config.scale))
    rows = _visits(rng, total)
    again: dict[str, list[Any]] = {}
    files = []
    for monday, places in zip(
        config.mondays, np.array_split(np.arange(total), config.weeks), strict=True
    ):
        seconds = np.sort(rng.integers(0, 7 * 86_400, len(places)))
        columns = {"VisitedAt": utc(monday, seconds)}
        columns |= {name: [values[n] for n in places] for name, values in rows.items()}
        repeated = rng.random(len(places)) < AGAIN
        delivered = {name: again.get(name, []) + values for name, values in columns.items()}
        day = monday + timedelta(weeks=1)
        files.append(deliver_csv(root, VISITS, day, "visits.csv.gz", delivered))
        again = {name: list(compress(values, repeated)) for name, values in columns.items()}
    return files


def _visits(rng: np.random.Generator, size: int) -> dict[str, list[Any]]:
    """Draw visits without their times: delivered values by column."""
    tops = list(_AGES)
    group = np.array([tops.index(top) for top in choose(rng, _AGES, size)])
    lowest = np.array([_YOUNGEST, *(top + 1 for top in tops)])[group]
    age = rng.integers(lowest, np.array(tops)[group], endpoint=True)
    generation = np.searchsorted(np.array(list(_GENERATIONS)), age)
    millennial = generation == _MILLENNIAL
    device = np.where(
        millennial, choose(rng, _DEVICES[True], size), choose(rng, _DEVICES[False], size)
    )
    mobile = device == "Mobile Phone"
    core = millennial & mobile
    # As many failed searches as the first segment has of all visits.
    missed = np.where(core, FIRST_SEGMENT[0] / core.mean(), _NO_MATCH)
    no_match = _happens(rng, missed)
    first = core & no_match
    poor, discount = mobile & (rng.random(size) < _POOR), rng.random(size) < _DISCOUNT
    older, dear = no_match & ~millennial, ~no_match & ~discount
    shares = [SECOND_SEGMENT[0] / older.mean(), THIRD_SEGMENT[0] / dear.mean()]
    redirected = _happens(rng, np.select([older, dear], shares, _REDIRECTED))
    referrer = np.where(redirected, "Third-party redirect", choose(rng, _REFERRERS, size))
    segments = [first, older & redirected, dear & redirected]
    marks = {"no_match": no_match, "redirected": redirected, "poor": poor,
             "no_discount": ~discount, "millennial": millennial}  # fmt: skip
    unhappy = _happens(rng, _unhappiness(marks, segments))
    bounced = _happens(rng, np.where(unhappy, _BOUNCED[True], _BOUNCED[False]))
    pages = np.where(bounced, 1, 1 + rng.geometric(0.28, size))
    seconds = np.where(bounced, rng.integers(3, 41, size), pages * rng.integers(20, 91, size))
    numbers = np.arange(1, size + 1)
    return {
        "VisitNumber": [f"V-{n:07}" for n in numbers.tolist()],
        "VisitorID": [f"W-{n:07}" for n in rng.permutation(numbers).tolist()],
        "Country": choose(rng, COUNTRIES, size),
        "AgeGroup": [AGE_GROUPS[n] for n in group.tolist()],
        "Customer_Segment": [list(_GENERATIONS.values())[n] for n in generation.tolist()],
        "CustomerType": choose(rng, _TYPES, size),
        "Device": device.tolist(),
        "MobileExperience": np.select([poor, mobile], ["Poor", "Good"], "Not mobile").tolist(),
        "Referrer": referrer.tolist(),
        "SearchMatch": _yes(~no_match),
        "DiscountOffered": _yes(discount),
        "ProductCategory": choose(rng, _CATEGORIES, size),
        "Happiness": np.where(unhappy, NOT_HAPPY, HAPPY).tolist(),
        "Bounced": _yes(bounced),
        "Pages": pages.tolist(),
        "DurationSeconds": seconds.tolist(),
    }


def _unhappiness(marks: Mapping[str, Marks], segments: Sequence[Marks]) -> Floats:
    """Return how likely each visit is unhappy; the mean over all visits is `UNHAPPY`."""
    known = [share for _, share in (FIRST_SEGMENT, SECOND_SEGMENT, THIRD_SEGMENT)]
    score = np.zeros(len(segments[0]))
    for name, weight in _WEIGHTS.items():
        score += weight * marks[name]
    low, high = -10.0, 10.0
    for _ in range(60):
        constant = (low + high) / 2
        odds = np.exp(score + constant)
        share = np.select(segments, known, odds / (1 + odds))
        low, high = (constant, high) if share.mean() < UNHAPPY else (low, constant)
    return share


def _happens(rng: np.random.Generator, shares: Floats) -> Marks:
    """Draw what happens with given probabilities by a systematic sample.

    Among the rows of each probability, as many are drawn as expected, up to one.
    """
    order = np.lexsort((rng.random(len(shares)), shares))
    ends = np.cumsum(shares[order]) + rng.random()
    found = np.empty(len(shares), dtype=bool)
    found[order] = np.floor(ends) > np.floor(ends - shares[order])
    return found


def _yes(values: Marks) -> list[str]:
    yes: list[str] = np.where(values, "Yes", "No").tolist()
    return yes
