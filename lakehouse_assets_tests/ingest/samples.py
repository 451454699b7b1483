"""A small dataset and helpers to deliver files of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.ingest.landing import LandedFile
from lakehouse_assets.ingest.reader import read_delivery

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
    fields=tuple(
        Column(field.lower(), "string", f"{field} of the thing.", source=field) for field in FIELDS
    ),
)

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


def deliver(engine: Engine, *files: LandedFile, dataset: Dataset = THINGS) -> Outcome:
    with engine.scope():
        delivery = read_delivery(dataset, files, engine, INGESTED)
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
) -> list[Outcome]:
    """Deliver files together, which takes as long as one, and tell the outcomes apart."""
    files = []
    for index, content in enumerate(contents):
        path = folder / f"{index:03}{suffix}"
        path.write_bytes(content)
        # A day of its own lets the delivered records be counted per file.
        files.append(landed(path, DAY + timedelta(days=index)))
    found = deliver(engine, *files, dataset=dataset)
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


def deliver_bytes(engine: Engine, folder: Path, content: bytes, name: str = "a.csv") -> Outcome:
    path = folder / name
    path.write_bytes(content)
    return deliver(engine, landed(path))


def _ordered(rows: Sequence[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["_source_file"], row[column]))
