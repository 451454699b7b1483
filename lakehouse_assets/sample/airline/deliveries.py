"""Deliveries to try beside the sample: a new day, a correction, a late day and a broken file.

`python -m lakehouse_assets.sample.airline.deliveries --out deliveries` writes a folder for each.
They follow the sample that the default configuration generates: its customers buy again, and the
new purchases continue its numbers.
"""

from __future__ import annotations

import gzip
import itertools
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from lakehouse_assets.sample.airline import generate
from lakehouse_assets.sample.airline import profile as p
from lakehouse_assets.sample.airline.config import GeneratorConfig
from lakehouse_assets.sample.command import command

NEW_DAY, CORRECTED, LATE_DAY, BROKEN = (date(2014, 4, 1), *(date(2014, 3, d) for d in (11, 15, 22)))
"""Days of delivery; the late one and the broken one are Saturdays, on which the sample has none."""

Record = dict[str, Any]


@dataclass(frozen=True)
class DeliveriesConfig:
    """What to write.

    Attributes:
        seed: Seed of every random draw; equal seeds give equal bytes.
    """

    seed: int = 20140401


def write_deliveries(folder: Path, config: DeliveriesConfig) -> str:
    """Write the four deliveries; return the paths of their files, one a line."""
    with tempfile.TemporaryDirectory() as sample:
        sizes = GeneratorConfig()
        generate(Path(sample), sizes)
        days = Path(sample) / "airline" / "transactions"
        corrected = json.loads((days / f"{CORRECTED}" / "transactions.json").read_text("utf-8"))
        monday = LATE_DAY + timedelta(days=2)
        following = json.loads((days / f"{monday}" / "transactions.json").read_text("utf-8"))
    customers = [r for r in following if isinstance(r["customer_id"], int) and r["email"]]
    bought = _purchases(customers, sizes.transactions, np.random.default_rng(config.seed))

    def some(day: date, count: int) -> list[Record]:
        yesterday = (day - timedelta(days=1)).isoformat()
        return [{**r, "purchase_date": yesterday} for r in itertools.islice(bought, count)]

    # The decimal point was one place too far to the left.
    corrected[1]["amount"] = f"{float(corrected[1]['amount']) * 10:.2f}"
    # One of Saturday's purchases is in Monday's file, too.
    known = [r for r in following if "2014-03-01" <= str(r["purchase_date"]) < str(LATE_DAY)]
    late = [*some(LATE_DAY, 8), *known[:1]]
    broken = some(BROKEN, 9)
    broken[2]["amount"] = "invalid"
    broken[4]["purchase_date"] = p.IMPOSSIBLE_PURCHASE_DATE
    broken[6]["customer_id"] = None
    good = _lines(broken).splitlines(keepends=True)
    good[8] = f"{good[8][:90]}\n"
    # The connection was lost in the middle of the second file.
    packed = gzip.compress(_lines(some(BROKEN, 40)).encode(), mtime=0)
    written = []
    for name, day, file, content in (
        ("new-day", NEW_DAY, "transactions.jsonl", _lines(some(NEW_DAY, 25))),
        ("correction", CORRECTED, "transactions.json", _array(corrected)),
        ("late-day", LATE_DAY, "transactions.json", _array(late)),
        ("broken-file", BROKEN, "transactions-1.jsonl", "".join(good)),
        ("broken-file", BROKEN, "transactions-2.jsonl.gz", packed[: len(packed) // 2]),
    ):
        target = folder / name / "airline" / "transactions" / day.isoformat() / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        written.append(str(target))
    return "\n".join(written)


def _purchases(customers: list[Record], taken: int, rng: np.random.Generator) -> Iterator[Record]:
    """Yield purchases of known customers, numbered from the first number that is not taken."""
    methods = [method for _, method in p.METHODS if method and method.isidentifier()]
    for number in itertools.count(taken + 1):
        customer = customers[int(rng.integers(len(customers)))]
        yield {
            **customer,
            "transaction_id": f"TXN{number:09}",
            "amount": round(float(np.exp(rng.normal(6.75, 0.6))), 2),
            "status": "completed",
            "payment_method": methods[int(rng.integers(len(methods)))],
        }


def _lines(records: list[Record]) -> str:
    return "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records)


def _array(records: list[Record]) -> str:
    lines = ",\n".join(f"  {json.dumps(record, ensure_ascii=False)}" for record in records)
    return f"[\n{lines}\n]\n"


if __name__ == "__main__":
    command("lakehouse_assets.sample.airline.deliveries", DeliveriesConfig, write_deliveries)
