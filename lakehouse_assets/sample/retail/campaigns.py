"""Weekly deliveries of campaign results: CSV files of 22 columns."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np

from lakehouse_assets.domains.retail.datasets.campaigns import CAMPAIGNS
from lakehouse_assets.domains.retail.shared import REGIONS
from lakehouse_assets.sample.retail.draws import (
    Config,
    Knots,
    bent_to_mean,
    choose,
    deliver_csv,
    spread,
)

PER_WEEK = 92
NUMBERS = {
    "LetsGoSurf": (50, 6), "EnjoyTheMoment": (25, 2), "GoGreen": (11, 3),
    "SustainableFashion": (21, 4), "BeUnique": (105, 1), "FallintoWinter": (34, 5),
    "LetsRun": (45, 7),
}  # fmt: skip
"""Campaign_ID and SORTED_ID of each campaign."""
RESULTS = {
    ("BeUnique", "Brazil"): 280, ("BeUnique", "Germany"): 852, ("BeUnique", "Japan"): 211,
    ("BeUnique", "USA"): 706, ("EnjoyTheMoment", "Germany"): 8269,
    ("EnjoyTheMoment", "Japan"): 633, ("EnjoyTheMoment", "USA"): 2954,
    ("FallintoWinter", "Germany"): 780, ("FallintoWinter", "Japan"): 220,
    ("FallintoWinter", "USA"): 714, ("GoGreen", "Germany"): 3309, ("GoGreen", "Japan"): 1549,
    ("GoGreen", "USA"): 5310, ("LetsGoSurf", "Brazil"): 2333, ("LetsGoSurf", "Germany"): 2548,
    ("LetsGoSurf", "Japan"): 982, ("LetsGoSurf", "USA"): 6178, ("LetsRun", "Brazil"): 216,
    ("LetsRun", "Germany"): 480, ("LetsRun", "Japan"): 113, ("LetsRun", "USA"): 748,
    ("SustainableFashion", "Brazil"): 203, ("SustainableFashion", "Germany"): 724,
    ("SustainableFashion", "USA"): 1618,
}  # fmt: skip
MEAN_PROFITS = {
    "BeUnique": 189.07, "EnjoyTheMoment": 618.11, "FallintoWinter": 313.56, "GoGreen": 202.96,
    "LetsGoSurf": 262.86, "LetsRun": 280.65, "SustainableFashion": 189.18,
}  # fmt: skip
GENERATIONS = {
    "Boomer; GenX; GenY; GenZ": 11245, "Gen Z (2000s - now)": 10055,
    "Baby Boomers (45 ? 60s)": 7995, "Gen X (60 ? 80s)": 6125, "Gen Y (80 ? 2000s)": 4957,
    "NULL": 1553,
}  # fmt: skip
CHANNELS = {"Social": 17696, "TV": 7552, "Event": 7420, "Media Placements": 5754, "Email": 3508}
JAPAN_ELSEWHERE = 403 / 3708
STATUSES = {
    "Europe": {"Awareness": 1},
    "North & Central America": {"Consideration": 9978, "Inquiries": 8653},
    "Asia Pacific": {"Intent": 1}, "South America": {"Purchase": 1},
}  # fmt: skip
RESPONSES = {
    "Europe": "Qualified", "Asia Pacific": "Qualified", "North & Central America": "Active",
    "South America": "Accepted",
}  # fmt: skip
QUANTILES: dict[str, Knots] = {
    "Responses": ((0, 3), (0.05, 64.5), (0.25, 229.5), (0.5, 427), (0.75, 749),
                  (0.95, 1019), (1, 1118)),
    "Cost": ((0, 1), (0.05, 1.25), (0.25, 156), (0.5, 191), (0.75, 230), (0.95, 270), (1, 290)),
    "Revenue": ((0, 296.505), (0.05, 5522.28), (0.25, 11180.56), (0.5, 19922.36), (0.75, 35960.85),
                (0.95, 78916.4), (1, 99748.91)),
    "ROI": ((0, 1), (0.05, 1), (0.25, 3), (0.5, 5), (0.75, 8), (0.95, 10), (1, 10)),
    "Revenue_Target": ((0, -9705.98), (0.05, -3938.91), (0.25, -58.22), (0.2579, 0),
                       (0.5, 56460.13), (0.75, 155380), (0.95, 311083), (1, 337586)),
    "Profit": ((0, -3961.17), (0.05, -980.71), (0.25, -261.63), (0.3672, 0), (0.5, 197.2),
               (0.75, 1037.34), (0.95, 2002.6), (1, 2774.23)),
    "Marketing_Cost": ((0, 0.8), (0.05, 24.905), (0.25, 53.992), (0.5, 93.891), (0.75, 472.877),
                       (0.95, 881.446), (1, 999.886)),
}  # fmt: skip
DIGITS = {"Revenue_Target": 2, "Profit": 2, "Marketing_Cost": 3}


def write_campaigns(config: Config, root: Path) -> list[Path]:
    """Write the deliveries, one a week; return the files."""
    rng = config.random("campaigns")
    size = config.rows(PER_WEEK)
    powers = {name: bent_to_mean(QUANTILES["Profit"], mean) for name, mean in MEAN_PROFITS.items()}
    files = []
    for monday in config.mondays:
        pairs = choose(rng, RESULTS, size)
        names, countries = zip(*pairs, strict=True)
        scores = {name: rng.random(size) for name in QUANTILES}
        scores["Profit"] **= np.array([powers[name] for name in names])
        numbers = {name: spread(scores[name], knots) for name, knots in QUANTILES.items()}
        elsewhere = rng.random(size) < JAPAN_ELSEWHERE
        generations, channels = choose(rng, GENERATIONS, size), choose(rng, CHANNELS, size)
        days, picks = rng.integers(0, 7, size), rng.random(size)
        regions = [
            REGIONS["USA" if country == "Japan" and other else country]
            for country, other in zip(countries, elsewhere, strict=True)
        ]
        columns = {
            "Region": regions,
            "Country": list(countries),
            "Campaign_ID": [NUMBERS[name][0] for name in names],
            "Campaign_Name": list(names),
            "Qualification": "NA",
            "Qualification_Number": "NA",
            "Response_Status": [RESPONSES[region] for region in regions],
            "Responses": (numbers["Responses"] * 2).round() / 2,
            "Cost": (numbers["Cost"] * 4).round() / 4,
            # Cents times 0.01: floating-point noise as in the reference lab (11180.560000000001).
            "Revenue": (numbers["Revenue"] * 100).round() * 0.01,
            "ROI": numbers["ROI"].round() * 1980,
            "Lead_Generation": "NA",
            "Campaign_Tactic": generations,
            "Customer_Segment": channels,
            "Status": [
                _of(STATUSES[region], pick) for region, pick in zip(regions, picks, strict=True)
            ],
            "CampaignID": [NUMBERS[name][0] for name in names],
            "CampDate": [monday + timedelta(days=day) for day in days.tolist()],
            "SORTED_ID": [NUMBERS[name][1] for name in names],
        }
        for name, digits in DIGITS.items():
            columns[name] = [round(value, digits) for value in numbers[name].tolist()]
        delivered = monday + timedelta(weeks=1)
        files.append(deliver_csv(root, CAMPAIGNS, delivered, "campaign-data.csv", columns))
    return files


def _of(shares: dict[str, int], pick: float) -> str:
    """Return the label at a position from 0 to 1, by the labels' shares."""
    ends = np.cumsum(list(shares.values()))
    return list(shares)[int(np.searchsorted(ends, pick * ends[-1], side="right"))]
