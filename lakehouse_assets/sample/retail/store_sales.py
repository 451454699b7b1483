"""Weekly deliveries of store sales: text files without a header.

Advert is always 1, as in all rows of the reference that could be seen. Stores are numbered as in
section 2.
"""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from pathlib import Path

from lakehouse_assets.sample.retail.draws import Config, deliver
from lakehouse_assets.sample.retail.products import BRANDS

STORES = 10
PER_WEEK = STORES * len(BRANDS)
QUANTITIES = (9_000, 20_226)
PRICES = (1.90, 2.69)


def write_store_sales(config: Config, root: Path) -> list[Path]:
    """Write the deliveries, one a week; return the files."""
    rng = config.random("store_sales")
    size = config.rows(PER_WEEK)
    files, number = [], 0
    for monday in config.mondays:
        quantities = rng.integers(QUANTITIES[0], QUANTITIES[1], size, endpoint=True)
        prices = rng.uniform(*PRICES, size).round(2)
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        for n in range(size):
            number += 1
            quantity, price = int(quantities[n]), float(prices[n])
            writer.writerow(
                [
                    number,
                    monday,
                    n % STORES + 1,
                    BRANDS[n // STORES % len(BRANDS)],
                    quantity,
                    1,
                    price,
                    quantity * price,
                ]
            )
        delivered = monday + timedelta(weeks=1)
        files.append(deliver(root, "store_sales", delivered, "SalesTransData.txt", out.getvalue()))
    return files
