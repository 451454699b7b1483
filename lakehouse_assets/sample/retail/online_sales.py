"""Weekly deliveries of online sales: CSV files of orders.

Some orders are redelivered a week later, as by sources that export overlapping time windows.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from lakehouse_assets.domains.retail.datasets.online_sales import ONLINE_SALES
from lakehouse_assets.sample.retail.customers import customer_numbers
from lakehouse_assets.sample.retail.draws import Config, choose, deliver_csv, picked, utc
from lakehouse_assets.sample.retail.products import BRANDS, CATEGORIES, PRODUCTS

PER_WEEK = 60
# Distributed over countries like the results of campaigns.
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
    again: dict[str, list[Any]] = {}
    for week, monday in enumerate(config.mondays):
        seconds = np.sort(rng.integers(0, 7 * 86_400, size))
        countries, categories = choose(rng, COUNTRIES, size), choose(rng, CATEGORIES, size)
        quantities, picks = choose(rng, _QUANTITIES, size), rng.integers(0, 2**31, (4, size))
        guest, repeated = rng.random((2, size)) < np.array([[GUESTS], [AGAIN]])
        products = [
            picked(PRODUCTS[category], pick)
            for category, pick in zip(categories, picks[0], strict=True)
        ]
        columns = {
            "OrderID": [f"O-{week * size + n:07}" for n in range(1, size + 1)],
            "OrderedAt": utc(monday, seconds),
            "CustomerID": [
                "" if unknown else picked(customers, pick)
                for unknown, pick in zip(guest, picks[1], strict=True)
            ],
            "Country": countries,
            "City": [
                picked(CITIES[country], pick)
                for country, pick in zip(countries, picks[2], strict=True)
            ],
            "ProductCategory": categories,
            "Product": [name for name, _ in products],
            "Brand": [picked(BRANDS, pick) for pick in picks[3]],
            "Quantity": quantities,
            "Price": [price for _, price in products],
            "Revenue": [
                quantity * price for quantity, (_, price) in zip(quantities, products, strict=True)
            ],
        }
        rows = {name: again.get(name, []) + values for name, values in columns.items()}
        delivered = monday + timedelta(weeks=1)
        files.append(deliver_csv(root, ONLINE_SALES, delivered, "orders.csv", rows))
        again = {name: list(compress(values, repeated)) for name, values in columns.items()}
    return files
