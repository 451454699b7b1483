"""Weekly deliveries of online sales: CSV files of orders.

Some orders are redelivered a week later, as by sources that export overlapping time windows.
"""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lakehouse_assets.domains.retail.datasets.online_sales import ONLINE_SALES
from lakehouse_assets.sample.retail.customers import customer_numbers
from lakehouse_assets.sample.retail.draws import Config, choose, deliver
from lakehouse_assets.sample.retail.products import BRANDS, CATEGORIES, PRODUCTS

PER_WEEK = 60
# Distributed over countries like the results of campaigns (section 3.1).
COUNTRIES = {"USA": 18228, "Germany": 16962, "Japan": 3708, "Brazil": 3032}
CITIES = {
    "USA": ("New York", "Miami", "Chicago", "San Diego"),
    "Germany": ("Berlin", "Hamburg", "Munich"), "Japan": ("Tokyo", "Osaka"),
    "Brazil": ("Rio de Janeiro", "Recife"),
}  # fmt: skip
GUESTS = 0.1
AGAIN = 0.02
_QUANTITIES = {1: 70, 2: 20, 3: 7, 5: 3}


def write_online_sales(config: Config, root: Path) -> list[Path]:
    """Write the deliveries, one a week; return the files."""
    rng = config.random("online_sales")
    size = config.rows(PER_WEEK)
    customers = customer_numbers(config)
    files: list[Path] = []
    number, again = 0, list[list[Any]]()
    for monday in config.mondays:
        begin = datetime(monday.year, monday.month, monday.day, tzinfo=UTC)
        seconds = sorted(rng.integers(0, 7 * 86_400, size))
        countries, categories = choose(rng, COUNTRIES, size), choose(rng, CATEGORIES, size)
        quantities, picks = choose(rng, _QUANTITIES, size), rng.integers(0, 2**31, (4, size))
        draws = rng.random((2, size))
        rows = list(again)
        again = []
        for n in range(size):
            number += 1
            country, category = countries[n], categories[n]
            product, price = PRODUCTS[category][picks[0][n] % len(PRODUCTS[category])]
            row = [
                f"O-{number:07}",
                (begin + timedelta(seconds=int(seconds[n]))).isoformat().replace("+00:00", "Z"),
                "" if draws[0][n] < GUESTS else customers[picks[1][n] % len(customers)],
                country,
                CITIES[country][picks[2][n] % len(CITIES[country])],
                category,
                product,
                BRANDS[picks[3][n] % len(BRANDS)],
                quantities[n],
                price,
                quantities[n] * price,
            ]
            rows.append(row)
            if draws[1][n] < AGAIN:
                again.append(row)
        out = io.StringIO()
        writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(ONLINE_SALES.source_names)
        writer.writerows(rows)
        delivered = monday + timedelta(weeks=1)
        files.append(deliver(root, "online_sales", delivered, "orders.csv", out.getvalue()))
    return files
