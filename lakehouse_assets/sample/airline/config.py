"""The configuration of the generator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from lakehouse_assets.sample.airline.profile import FIRST_UNKNOWN_CUSTOMER


@dataclass(frozen=True)
class GeneratorConfig:
    """What to generate.

    Attributes:
        seed: Seed of every random draw; equal configurations give equal bytes.
        first_month: First day of the first monthly snapshot.
        months: Number of monthly snapshots, which is also the span of the transactions.
        members: Members in the opening base. They stay for all snapshots; about 0.4 % more
            join in every month, so there are at least ``members * months`` snapshot rows.
        transactions: Distinct transaction ids over the whole span.
        transaction_format: "mixed" rotates JSON arrays, JSON lines, gzipped JSON lines and CSV
            over the days; "csv" writes one CSV a day, fully vectorised.
        delivery_days: "business" delivers Monday to Friday, "all" on every calendar day.
        defects: Whether to inject the records a pipeline has to reject or deduplicate.
    """

    seed: int = 20140331
    first_month: date = date(2014, 1, 1)
    months: int = 3
    members: int = 1500
    transactions: int = 2100
    transaction_format: Literal["mixed", "csv"] = "mixed"
    delivery_days: Literal["business", "all"] = "business"
    defects: bool = True

    def __post_init__(self) -> None:
        """Refuse sizes that the marginals or the serial numbers do not allow."""
        if self.first_month.day != 1:
            raise ValueError(f"first_month must be the first of a month, got {self.first_month}")
        if self.months < 1:
            raise ValueError(f"months must be at least 1, got {self.months}")
        if not 100 <= self.members < FIRST_UNKNOWN_CUSTOMER // 10:
            raise ValueError(f"members must be 100 to 90 million, got {self.members}")
        if not 500 <= self.transactions <= 900_000_000:
            raise ValueError(f"transactions must be 500 to 900 million, got {self.transactions}")
