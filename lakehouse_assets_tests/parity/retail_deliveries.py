"""Retail deliveries in which everything stands that engines may take differently.

Belongs here: hostile files of the retail sources, the same on every run, all in one month, because
what costs on Spark is the number of its runs. Not here: what should become of them, which the
engines have to agree on.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from lakehouse_assets.retail.tables.campaigns import CAMPAIGNS
from lakehouse_assets_tests.airline.samples import House
from lakehouse_assets_tests.engine import hostile
from lakehouse_assets_tests.retail.samples import RESULT, deliver, quoted_csv, result

ROWS = 400
_LABELS = (
    "Boomer; GenX; GenY; GenZ", "Gen Z (2000s - now)", "Baby Boomers (45 ? 60s)", "GEN X", "NULL",
    "NA", "", "Social", "tv", "EVENT", "Gen\u00a0Z", "\u0130", "\u3000Email\u3000",
    "Media Placements",
)  # fmt: skip
_NAMES = ("GoGreen", "gogreen", "LetsRun", "\u0130stanbul", "stra\u00dfe", " BeUnique ", "NULL", "")
_AMOUNTS = (
    "11180.560000000001", "-0.00005", "0.00005", "1e3", "NaN", "", "12abc", "-3961.17", "296.505",
    "+7", " 42 ", "99999999999", "-99999999999", "0.00004999", "1,000",
)  # fmt: skip


def deliver_retail(house: House) -> None:
    """Fill the landing zone of the retail domain."""
    rng = random.Random(23)  # noqa: S311 - nothing is kept secret with it
    _deliver_campaigns(house, rng)


def _deliver_campaigns(house: House, rng: random.Random) -> None:
    rows = [_bent(rng) for _ in range(ROWS)]
    rows += [dict(row) for row in rng.sample(rows, 30)]
    deliver(house, CAMPAIGNS, "2014-02-10", "campaign-data.csv", quoted_csv(CAMPAIGNS, rows))
    # Delivered again, with some news and a record that is none.
    more = quoted_csv(CAMPAIGNS, [*rows[:100], *[_bent(rng) for _ in range(50)]])
    deliver(house, CAMPAIGNS, "2014-02-17", "campaign-data.csv", more + '"too","short"\n')


def _bent(rng: random.Random) -> dict[str, Any]:
    row = result(
        Campaign_Name=rng.choice(_NAMES),
        Country=rng.choice(["USA", "Germany", "Japan", "Brazil"]),
        Campaign_Tactic=rng.choice(_LABELS),
        Customer_Segment=rng.choice(_LABELS),
        Profit=rng.choice(_AMOUNTS),
        CampDate=f"2014-{rng.randrange(1, 4)}-{rng.randrange(1, 29)}",
    )
    for _ in range(rng.choice([0, 0, 1, 2])):
        name = rng.choice(list(RESULT))
        values: Sequence[str | None] = _AMOUNTS
        if name == "CampDate":
            values = _DAYS
        elif name not in {"Cost", "Revenue", "Profit", "Responses", "ROI", "Marketing_Cost"}:
            values = _TEXTS
        row[name] = rng.choice(values)
    return row


# A file of whole lines, which every engine reads natively.
_TEXTS = [text for text in hostile.texts() if not set(text or "") & {"\n", "\r", "\0"}]
_DAYS = [text for text in hostile.dates_as_text() if not set(text or "") & {"\n", "\r"}]
