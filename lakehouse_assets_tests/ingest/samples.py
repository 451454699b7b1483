"""A small dataset and helpers to deliver files of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from lakehouse_assets.catalog.datasets import DOCUMENT_FIELDS, Dataset, text_field
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.ingest.csv_records import CsvReader
from lakehouse_assets.ingest.files import Content, opened
from lakehouse_assets.ingest.json_records import json_records
from lakehouse_assets.ingest.landing import LandedFile
from lakehouse_assets.ingest.limits import FileLimits
from lakehouse_assets.ingest.reader import read_delivery
from lakehouse_assets.ingest.records import Malformed, Record

FIELDS = ("ID", "Name", "Note")
HEADER = ",".join(FIELDS)
DAY = date(2014, 3, 31)
INGESTED = datetime(2014, 4, 1, 12, 30, tzinfo=UTC)

THINGS = Dataset(
    domain="shop",
    name="things",
    grain="day",
    description="One thing.",
    owner="team:shop",
    columns=tuple(text_field(name, f"{name} of the thing.") for name in FIELDS),
)

DOCUMENT_COLUMNS = tuple(text_field(name, f"{name} of the file.") for name in DOCUMENT_FIELDS)

# The same, delivered without header.
BARE = replace(THINGS, header=False)


@dataclass(frozen=True)
class Outcome:
    """A delivery, run: plain Python values in the order of files and rows."""

    rows: list[dict[str, Any]]
    rejects: list[dict[str, Any]]
    delivered: dict[date, int]
    refused: list[str]
    undeclared: list[str]

    @property
    def values(self) -> list[tuple[Any, ...]]:
        """Row number and fields of every row."""
        return [(r["_row_number"], r["id"], r["name"], r["note"]) for r in self.rows]

    @property
    def bad(self) -> list[tuple[Any, ...]]:
        """Line number, raw text and reason of every reject."""
        return [(r["line_number"], r["raw_text"], r["reason"]) for r in self.rejects]

    @property
    def complete(self) -> bool:
        """Whether delivered rows are rows and rejects, refused files aside."""
        lost = [r for r in self.rejects if r["line_number"] > 0]
        return sum(self.delivered.values()) == len(self.rows) + len(lost)


def landed(path: Path, day: date = DAY) -> LandedFile:
    return LandedFile(day, f"shop/things/{day}/{path.name}", path, path.stat().st_size, "1")


def deliver(
    engine: Engine,
    *files: LandedFile,
    dataset: Dataset = THINGS,
    limits: FileLimits | None = None,
) -> Outcome:
    with engine.scope():
        delivery = read_delivery(dataset, files, engine, INGESTED, limits)
        return Outcome(
            rows=_ordered(engine.rows(delivery.rows), "_row_number"),
            rejects=_ordered(engine.rows(delivery.rejects), "line_number"),
            delivered=dict(delivery.delivered),
            refused=delivery.refused,
            undeclared=delivery.undeclared,
        )


def deliver_each(
    engine: Engine,
    folder: Path,
    contents: Sequence[bytes],
    suffix: str,
    dataset: Dataset = THINGS,
    limits: FileLimits | None = None,
) -> list[Outcome]:
    """Deliver files together, which takes as long as one, and tell the outcomes apart."""
    files = []
    for index, content in enumerate(contents):
        path = folder / f"{index:03}{suffix}"
        path.write_bytes(content)
        # A day of its own lets the delivered records be counted per file.
        files.append(landed(path, DAY + timedelta(days=index)))
    found = deliver(engine, *files, dataset=dataset, limits=limits)
    return [
        Outcome(
            rows=[row for row in found.rows if row["_source_file"] == file.name],
            rejects=[row for row in found.rejects if row["_source_file"] == file.name],
            delivered={file.delivered_on: found.delivered.get(file.delivered_on, 0)},
            refused=[text for text in found.refused if text.startswith(f"{file.name}:")],
            undeclared=found.undeclared,
        )
        for file in files
    ]


def deliver_bytes(
    engine: Engine,
    folder: Path,
    content: bytes,
    name: str = "a.csv",
    dataset: Dataset = THINGS,
    limits: FileLimits | None = None,
) -> Outcome:
    path = folder / name
    path.write_bytes(content)
    return deliver(engine, landed(path), dataset=dataset, limits=limits)


class StrictReader(CsvReader):
    """Reads all CSV record by record."""

    def _regular(self, *_: Any) -> None:
        return None


def records_of_csv(
    path: Path,
    fields: int,
    header: bool = True,
    kind: type[CsvReader] = CsvReader,
    separator: str = ",",
) -> list[Record | Malformed]:
    """Read a CSV file with one of the ways to read; good records in order, then malformed ones."""
    found: list[Record | Malformed] = []
    with opened(path, path.name) as file:
        reader = kind(Content(file, path.name, FileLimits()), header, separator)
        for record in reader.read(fields):
            if isinstance(record, (Record, Malformed)):
                found.append(record)
            else:
                rows = zip(*(column.to_pylist() for column in record.columns), strict=True)
                found += [Record(row[0], tuple(row[1:])) for row in rows]
    return sorted(found, key=lambda r: (0, r.number) if isinstance(r, Record) else (1, r.line))


def records_of_json(
    path: Path, fields: Sequence[str] = ("a", "b"), additive: bool = False
) -> list[Record | Malformed]:
    with opened(path, path.name) as file:
        content = Content(file, path.name, FileLimits())
        return list(json_records(content, path.name, content.limits, fields, additive))


def _ordered(rows: Sequence[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["_source_file"], row[column]))
