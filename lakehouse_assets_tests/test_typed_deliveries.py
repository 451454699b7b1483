"""What a source types, silver reads like text: every field of every dataset, in every type."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse_assets.catalog.datasets import Dataset, silver_table
from lakehouse_assets.domains import DATASETS
from lakehouse_assets.engine import DataFrame
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.ingest.landing import LandedFile
from lakehouse_assets.ingest.reader import read_delivery
from lakehouse_assets.quality.fields import typed_rows

DATA = Path(__file__).parents[1] / "data"
ROWS = 300
NOTHING = ("", ".", "NULL", "NA")
# A row without a number is known by its delivered text.
OF_CONTENT = {"result_id", "visit_id", "_source_file"}


def _date(text: str) -> date:
    if "/" in text:
        month, day, year = text.split("/")
        return date(int(year), int(month), int(day))
    return date.fromisoformat(text)


def _moment(text: str) -> datetime:
    if ":" not in text:
        raise ValueError(text)
    return datetime.fromisoformat(text).replace(tzinfo=None)


def _truth(text: str) -> bool:
    return {"1": True, "Yes": True, "0": False, "No": False}[text]


# How text becomes a value, and the Arrow types in which such values are delivered.
TYPES: list[tuple[Callable[[str], Any], list[pa.DataType]]] = [
    (_truth, [pa.bool_()]),
    (int, [pa.int64(), pa.float64(), pa.decimal128(38, 0), pa.int32()]),
    (float, [pa.float64()]),
    (Decimal, [pa.decimal128(38, 12)]),
    (_date, [pa.date32(), pa.timestamp("us"), pa.timestamp("ms", "UTC"), pa.date64()]),
    (_moment, [pa.timestamp("us"), pa.timestamp("ns", "UTC")]),
    (str, [pa.string(), pa.binary(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]),
]


def typings(values: list[str | None]) -> list[pa.Array]:
    """Return a delivered column in every type that holds all of its values."""
    found = []
    for parse, types in TYPES:
        try:
            parsed = [
                None if v is None or (v in NOTHING and parse is not str) else parse(v)
                for v in values
            ]
            if any(value is not None for value in parsed):
                found += [pa.array(parsed).cast(kind) for kind in types]
        except (ValueError, KeyError, ArithmeticError, pa.ArrowInvalid):
            continue
    return found


def bronze(engine: Engine, dataset: Dataset, files: list[Path]) -> DataFrame:
    """Read delivered files."""
    landed = [LandedFile(date(2021, 9, 6), path.name, path, path.stat().st_size) for path in files]
    delivery = read_delivery(dataset, landed, engine, datetime(2021, 9, 6, tzinfo=UTC))
    assert delivery.refused == []
    return delivery.rows


def delivered_text(dataset: Dataset) -> dict[str, list[str | None]]:
    """Return the first rows of a dataset's sample, by delivered name."""
    engine = start_engine()
    files = sorted((DATA / dataset.path).glob("*/*.*"))[:40]
    with engine.scope():
        rows = engine.rows(bronze(engine, dataset, files).orderBy("_source_file", "_row_number"))
    fields = zip(dataset.fields, dataset.source_names, strict=True)
    return {source: [row[field.name] for row in rows[:ROWS]] for field, source in fields}


def silver_rows(dataset: Dataset, files: list[Path]) -> dict[str, list[dict[str, Any]]]:
    """Type delivered files; return the columns of silver by file."""
    engine = start_engine()
    with engine.scope():
        typed = typed_rows(dataset, engine, bronze(engine, dataset, files))
        rows = engine.rows(typed.select(*silver_table(dataset).column_names))
    found: dict[str, list[dict[str, Any]]] = {path.name: [] for path in files}
    for row in sorted(rows, key=lambda row: row["_row_number"]):
        found[row["_source_file"]].append({n: x for n, x in row.items() if n not in OF_CONTENT})
    return found


@pytest.mark.parametrize(
    "dataset", [d for d in DATASETS if not d.documents], ids=lambda dataset: dataset.path
)
def test_typed_values_are_read_like_text(dataset: Dataset, tmp_path: Path) -> None:
    text = delivered_text(dataset)
    columns = {name: typings(values) for name, values in text.items()}
    plain = {name: pa.array(values, pa.string()) for name, values in text.items()}
    files = {"text.parquet": plain}
    for number in range(max(map(len, columns.values()))):
        # Each file has every column in another of its types.
        files[f"{number}.parquet"] = {
            name: next(itertools.islice(itertools.cycle(typed or [plain[name]]), number, None))
            for name, typed in columns.items()
        }
    for name, table in files.items():
        pq.write_table(pa.table(table), tmp_path / name)
    # The first typing of each column, as JSON has it.
    with (tmp_path / "typed.json").open("w") as out:
        values = {
            name: next((c for c in typed if c.type in (pa.bool_(), pa.int64())), plain[name])
            for name, typed in columns.items()
        }
        json.dump(pa.table(values).to_pylist(), out)
    found = silver_rows(dataset, [*(tmp_path / name for name in files), tmp_path / "typed.json"])
    wanted = found.pop("text.parquet")
    assert len(wanted) == len(next(iter(text.values()))) > 0
    differing = {
        (file, column)
        for file, rows in found.items()
        for want, row in zip(wanted, rows, strict=True)
        for column in want
        if row[column] != want[column]
    }
    assert differing == set()
