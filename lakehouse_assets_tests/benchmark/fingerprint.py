"""What a lake holds, in a form that two lakes can be compared by.

Run as `python -m` in a
process of its own, so that its memory is nobody's.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.domains.airline.domain import AIRLINE
from lakehouse_assets.domains.airline.gold.value import KPI_CUSTOMER_VALUE

# When a run began differs from run to run; everything else must not.
_VOLATILE = frozenset({"load_timestamp", "_ingested_at", "_file_version", "_file_records"})
_SUMS = (
    "total_flights", "total_km_flown", "total_loyalty_points", "days_since_last_flight",
    "total_spent", "transaction_count",
)  # fmt: skip

Fingerprint = dict[str, dict[str, list[Any]]]


def fingerprint(lake: Path) -> Fingerprint:
    """Count and hash each partition of each table.

    Returns:
        By table and partition value: number of rows, a hash of their values that does not depend
        on their order, and for `kpi_customer_value` the sums of its measures.
    """
    import duckdb
    import duckdb_extensions

    connection = duckdb.connect(config={"autoload_known_extensions": False})
    duckdb_extensions.import_extension("delta", con=connection)
    connection.execute("LOAD delta")
    found: Fingerprint = {}
    for table in AIRLINE.tables:
        rows = connection.execute(_query(lake, table)).fetchall()
        found[table.name] = {str(row[0]): [str(value) for value in row[1:]] for row in rows}
    return found


def _query(lake: Path, table: Table) -> str:
    names = ", ".join(f'"{name}"' for name in table.column_names if name not in _VOLATILE)
    value = f'"{table.partition.column}"' if table.partition else "''"
    sums = "".join(f", sum({name})" for name in _SUMS if table is KPI_CUSTOMER_VALUE)
    return (
        f"SELECT {value}, count(*), sum(hash({names})){sums} "  # noqa: S608 - declared names
        f"FROM delta_scan('{lake / table.domain / table.name}') GROUP BY 1 ORDER BY 1"
    )


def differences(ours: Fingerprint, theirs: Fingerprint) -> list[str]:
    """Say in words where two lakes differ."""
    texts = []
    for name, partitions in ours.items():
        other = theirs.get(name, {})
        for value in sorted({*partitions, *other}):
            have, want = partitions.get(value), other.get(value)
            if have != want:
                texts.append(f"{name} [{value}]: pipeline {have}, SQL {want}")
    return texts


def main() -> None:
    """Write a lake's fingerprint to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lake", type=Path)
    parser.add_argument("target", type=Path)
    given = parser.parse_args()
    given.target.write_text(json.dumps(fingerprint(given.lake)), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
