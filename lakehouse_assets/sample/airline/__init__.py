"""Seeded generator of an airline landing zone, calibrated to the published marginals.

The pipeline must not import this package; otherwise its tests would compare a rule with itself. The
generator reads no source data: all values are drawn.

There are two kinds of imperfection. *Dirt* is what the real sources contain throughout
(placeholders, spelling variants, nulls, mixed case, three date formats, implausible ages, the
impossible 29 February 2014); it is always present, because the marginals include it. *Defects* are
records that a pipeline has to reject, repair or deduplicate; ``GeneratorConfig.defects`` turns
them on, and ``generate`` returns how many there are.
"""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import timedelta
from pathlib import Path

import numpy as np

from lakehouse_assets.sample.airline.config import GeneratorConfig
from lakehouse_assets.sample.airline.draws import day_number, month_after
from lakehouse_assets.sample.airline.members import opening_base
from lakehouse_assets.sample.airline.purchases import write_transactions
from lakehouse_assets.sample.airline.snapshots import write_snapshot


def generate(landing: Path, config: GeneratorConfig) -> Counter[str]:
    """Write an airline landing zone.

    Files: ``airline/flights/<month end>/flight.csv`` with 23 columns (distances in km, age in
    years, revenue in the source's currency) and ``airline/transactions/<delivery
    day>/transactions.<format>`` with nine attributes.

    Args:
        landing: Root of the landing zone; created if it does not exist.
        config: What to generate.

    Returns:
        Counts of everything written, by name; `test_generator.py` counts independently.

    Raises:
        FileExistsError: There are airline deliveries already. Files of an earlier run with another
            configuration would silently mix with the new ones.
    """
    flights, purchases = landing / "airline" / "flights", landing / "airline" / "transactions"
    for folder in (flights, purchases):
        if folder.is_dir() and any(folder.iterdir()):
            raise FileExistsError(f"{folder} is not empty; remove it before generating again")

    # Separate random streams, so that the number of transactions does not change the flights.
    member_seed, purchase_seed = np.random.SeedSequence(config.seed).spawn(2)
    rng = np.random.default_rng(member_seed)
    month_starts = [month_after(config.first_month, i) for i in range(config.months + 1)]
    base = opening_base(config, month_starts, rng)
    weights = base.purchase_weights(rng)
    counts = Counter(members=len(base.flights))
    known_from: list[int] = []
    for start, following in itertools.pairwise(month_starts):
        # Members buy from the month after joining, when a snapshot already lists them.
        known_from.append(int((base.joined < day_number(start)).sum()))
        base.advance(start, following, rng)
        window_end = following - timedelta(days=1)
        target = flights / window_end.isoformat() / "flight.csv"
        counts += write_snapshot(target, base, window_end, config.defects, rng)
    rng = np.random.default_rng(purchase_seed)
    return counts + write_transactions(purchases, config, known_from, weights, rng)
