"""Weekly deliveries of website analytics: CSV files of 25 columns.

The profile gives only the number of distinct values of counts; the ranges here have about as many.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from lakehouse_assets.domains.retail.datasets.website import WEBSITE
from lakehouse_assets.sample.retail.draws import Config, Knots, choose, deliver_csv, picked, spread
from lakehouse_assets.sample.retail.products import CATEGORIES, PRODUCTS

PER_WEEK = 16
LABELS: Mapping[str, Mapping[str, float]] = {
    "Country": {"USA": 346, "Japan": 176, "Brazil": 156, "Germany": 148},
    "Product_Category": CATEGORIES,
    "Channel": {"Online": 826},
    "Gender": {"Female": 538, "Male": 223, "Other": 64, "NULL": 1},
    "Device_Category": {"Mobile": 466, "Tablet": 216, "Desktop": 144},
    "Sources": {"Google": 148, "Direct": 139, "Yahoo": 137, "Bing": 137, "Facebook": 133,
                "Others": 132},
    "Conversations": {"Twitter": 246, "Facebook": 212, "Forum": 208, "Blogs": 160},
    "Page": {"Shipping Details": 223, "HomePage": 216, "Contact Us": 202, "Products": 185},
    "Browser": {"Internet Explorer": 208, "Edge": 176, "Chrome": 156, "Safari": 148,
                "Firefox": 138},
    "Sentiment": {"Positive": 388, "Neutral": 270, "Negative": 168},
    "Region": {"South America": 237, "Asia Pacific": 213, "Europe": 190,
               "North & Central America": 186},
    "Customer_Segment": {"Boomer; GenX; GenY; GenZ": 271, "Gen Y (80 ? 2000s)": 156,
                         "Gen X (60 ? 80s)": 143, "Gen Z (2000s - now)": 142,
                         "Baby Boomers (45 ? 60s)": 114},
    "Hashtags": {"NeedForSpeed": 29, "Funky": 27, "Race": 26, "Formula1": 25, "HotRide": 25,
                 "OffRoad": 25, "SportsCar": 25, "Premium": 25, "RaceTrack": 23},
    "Campaign_Name": {"GoGreen": 270, "LetsRun": 225, "FallintoWinter": 76, "EnjoyTheMoment": 72,
                      "SustainableFashion": 70, "BeUnique": 65, "Wheels That Matter": 48},
}  # fmt: skip
# Lowest and highest count, in order of the profile's 177, 93, 113, 145, 110, 43 and 59 distinct
# values; the last two ranges have 41.
COUNTS = {
    "Sessions": (24, 200), "Visits": (8, 100), "Unique_Visitors": (8, 120),
    "Daily_Users": (16, 160), "Return_Visitors": (1, 110), "Conversion_Rate": (10, 50),
    "Retweets": (20, 60),
}  # fmt: skip
QUANTILES: Mapping[str, Knots] = {
    "Duration_min": ((0, 1), (0.05, 1), (0.25, 2), (0.5, 3), (0.75, 5), (0.95, 8), (1, 8)),
    "Tweets": ((0, 143), (0.05, 570), (0.25, 841.25), (0.5, 1213), (0.75, 1610.25),
               (0.95, 1941.75), (1, 2676)),
}  # fmt: skip


def write_website(config: Config, root: Path) -> list[Path]:
    """Write the deliveries, one a week; return the files."""
    rng = config.random("website")
    size = config.rows(PER_WEEK)
    files = []
    for monday in config.mondays:
        columns: dict[str, Any] = {
            name: choose(rng, shares, size) for name, shares in LABELS.items()
        }
        for name, (low, high) in COUNTS.items():
            columns[name] = rng.integers(low, high, size, endpoint=True)
        for name, knots in QUANTILES.items():
            columns[name] = spread(rng.random(size), knots).round().astype(int)
        picks, days = rng.integers(0, 2**31, size), np.sort(rng.integers(0, 7, size))
        columns["Product"] = [
            picked(PRODUCTS[category], pick)[0]
            for category, pick in zip(columns["Product_Category"], picks, strict=True)
        ]
        columns["Date"] = np.datetime64(monday) + days
        delivered = monday + timedelta(weeks=1)
        files.append(deliver_csv(root, WEBSITE, delivered, "website-social.csv", columns))
    return files
