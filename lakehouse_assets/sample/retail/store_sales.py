"""Weekly deliveries of store sales: text files without a header.

Advert is always 1, as in all rows that the reference lab shows.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np

from lakehouse_assets.domains.retail.datasets.store_sales import STORE_SALES
from lakehouse_assets.sample.retail.draws import Config, deliver_csv, picked
from lakehouse_assets.sample.retail.products import BRANDS

STORES = 10
PER_WEEK = STORES * len(BRANDS)
QUANTITIES = (9_000, 20_226)
PRICES = (1.90, 2.69)


def write_store_sales(config: Config, root: Path) -> list[Path]:
    """Write the deliveries, one a week; return the files."""
    rng = config.random("store_sales")
    size = config.rows(PER_WEEK)
    files = []
    for week, monday in enumerate(config.mondays):
        quantities = rng.integers(*QUANTITIES, size, endpoint=True)
        prices = rng.uniform(*PRICES, size).round(2)
        rows = np.arange(size)
        values = (
            week * size + 1 + rows,
            monday,
            rows % STORES + 1,
            [picked(BRANDS, row // STORES) for row in range(size)],
            quantities,
            1,
            prices,
            quantities * prices,
        )
        columns = dict(zip(STORE_SALES.source_names, values, strict=True))
        delivered = monday + timedelta(weeks=1)
        files.append(deliver_csv(root, STORE_SALES, delivered, "SalesTransData.txt", columns))
    return files
