"""Members and purchases of our own making, with the defects of the lab's two files.

The generator draws the members; what it has no switch for is written over single values here.
"""

from __future__ import annotations

import csv
import json
from datetime import date
from pathlib import Path
from typing import Any

from lakehouse_assets.sample.airline import generate
from lakehouse_assets.sample.airline.config import GeneratorConfig

# Line of the member, column, value. The generator's own dirt is told by its counts.
WRITTEN_OVER = (
    (3, "AGE", "."),
    (8, "AGE", ""),
    (34, "FIRST_FLIGHT_DATE", "12/31/1905"),
    (55, "WORK_CITY", "\u3000guangzhou\u3000"),
    (60, "WORK_CITY", "shenyangshi"),
    (61, "WORK_CITY", "--"),
    (62, "WORK_PROVINCE", "guangdongsheng"),
    (63, "WORK_PROVINCE", "*"),
    (64, "WORK_COUNTRY", "cn"),
    (65, "WORK_COUNTRY", "0"),
)
_NAMES = (
    "transaction_id", "customer_id", "customer_name", "email", "purchase_date", "amount", "status",
    "payment_method", "region",
)  # fmt: skip
# As delivered, one defect after the other.
PURCHASES = (
    ("P1", 11, "Ada Sy", "ada@example.org", "2024-01-03", 99.5, "completed", "paypal", "north "),
    ("P2", None, "Ben Hill", "BEN@EXAMPLE.ORG", "2024-01-04", 10, "COMPLETED", "PayPal", "SOUTH"),
    ("P3", 12, "", "no address", "01/05/2024", "2100", "pending", "credit card", "East"),
    ("P4", 11, "ada stone ", "Ada@Example.org", "2024-01-06", 0.25, "Completed", "Credit Card", ""),
    ("P5", 13, "Cy Lake", None, "2024-01-07", None, "completed", "debit_card", "west"),
    ("P6", "14", "Di  Wood", "di@example.org", "2024/01/08", "1200.00", "pending", "paypal", "N"),
    (
        "P7",
        900_000_001,
        "Ed Moor",
        "ed@example.org",
        "2024-01-09",
        7,
        "completed",
        "paypal",
        "North",
    ),
    ("P8", "invalid", "Flo Reed", "flo@example.org", "", 3, "failed", "paypal", "East"),
    ("P9", 15, "Gus Dale", "gus@example.org", "2024-01-10", "invalid", "completed", "paypal", "W"),
)


def write_members(path: Path) -> None:
    """Write a snapshot of March 2014 in which every line has its 23 fields."""
    zone = path.parent / "generated"
    generate(zone, GeneratorConfig(first_month=date(2014, 3, 1), months=1, defects=False))
    (file,) = zone.rglob("flight*.csv")
    with file.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for line, column, value in WRITTEN_OVER:
        rows[line][column] = value
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_purchases(path: Path) -> None:
    """Write the purchases as one JSON array."""
    rows: list[dict[str, Any]] = [dict(zip(_NAMES, row, strict=True)) for row in PURCHASES]
    path.write_text(json.dumps(rows, indent=2), encoding="utf-8")
