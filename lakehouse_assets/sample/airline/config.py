"""What to generate, and what was."""

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
        """Refuse sizes for which the marginals or the running numbers make no sense."""
        if self.first_month.day != 1:
            raise ValueError(f"first_month must be the first of a month, got {self.first_month}")
        if self.months < 1:
            raise ValueError(f"months must be at least 1, got {self.months}")
        if not 100 <= self.members < FIRST_UNKNOWN_CUSTOMER // 10:
            raise ValueError(f"members must be 100 to 90 million, got {self.members}")
        if not 500 <= self.transactions <= 900_000_000:
            raise ValueError(f"transactions must be 500 to 900 million, got {self.transactions}")


@dataclass(frozen=True)
class GeneratedCounts:
    """What was written, for tests and benchmarks to compare with.

    Flight counts are sums over all snapshot files, transaction counts over all delivery files.

    Attributes:
        members: Distinct members, numbered 1..members without a gap.
        snapshots: Monthly flight files.
        flight_rows: Flight rows with 23 fields, defects included.
        duplicate_member_rows: Flight rows which repeat a MEMBER_NO of the same file.
        empty_member_numbers: Flight rows without MEMBER_NO.
        non_numeric_member_numbers: Flight rows whose MEMBER_NO is no number.
        short_lines: Flight lines with fewer than 23 fields.
        long_lines: Flight lines with more than 23 fields.
        impossible_last_flights: Flight rows with the literal for 29 February 2014; dirt, so
            they are also there without defects. Rows repeated as a defect are counted.
        transactions: Distinct transaction ids.
        transaction_records: Well-formed transaction records, repeated ones included.
        deliveries: Transaction files.
        null_customers: Transactions with a null (CSV: empty) customer_id.
        invalid_customers: Transactions with the customer_id "invalid".
        unknown_customers: Transactions of a well-formed customer_id which is no member.
        null_amounts: Transactions with a null (CSV: empty) amount.
        invalid_amounts: Transactions with the amount "invalid".
        empty_dates: Transactions with an empty purchase_date.
        impossible_dates: Transactions with the purchase_date 2014-02-30.
        duplicate_records: Records repeated exactly within their file.
        redelivered: Records delivered again on a later day; a pending one is then completed.
        malformed_json_lines: Lines of a .jsonl file which are no JSON.
        non_object_elements: Elements of a .json array which are no object.
        bom_files: Files which start with a UTF-8 byte order mark; part of the format, not a
            defect.
    """

    members: int = 0
    snapshots: int = 0
    flight_rows: int = 0
    duplicate_member_rows: int = 0
    empty_member_numbers: int = 0
    non_numeric_member_numbers: int = 0
    short_lines: int = 0
    long_lines: int = 0
    impossible_last_flights: int = 0
    transactions: int = 0
    transaction_records: int = 0
    deliveries: int = 0
    null_customers: int = 0
    invalid_customers: int = 0
    unknown_customers: int = 0
    null_amounts: int = 0
    invalid_amounts: int = 0
    empty_dates: int = 0
    impossible_dates: int = 0
    duplicate_records: int = 0
    redelivered: int = 0
    malformed_json_lines: int = 0
    non_object_elements: int = 0
    bom_files: int = 0
