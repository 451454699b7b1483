"""Delivered files by name in SQL: `landing.<domain>.<dataset>('<day>')`, without a load."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.engine.duckdb_sql import literal
from lakehouse_assets.errors import LakehouseError, did_you_mean
from lakehouse_assets.ingest.landing import LandingZone

# How DuckDB reads a file, by the end of its name. CSV stays text, as it was delivered.
_CSV = "read_csv({files}, all_varchar = true, header = true, union_by_name = true, filename = true)"
_JSON = "read_json({files}, union_by_name = true, filename = true)"
_PARQUET = "read_parquet({files}, union_by_name = true, filename = true)"
_READERS = {
    ".csv": _CSV, ".txt": _CSV, ".json": _JSON, ".jsonl": _JSON, ".ndjson": _JSON,
    ".parquet": _PARQUET,
}  # fmt: skip


class Deliveries:
    """The files of a landing zone, as SQL reads them.

    Args:
        zone: The landing zone.
        datasets: The datasets that are delivered there.
    """

    def __init__(self, zone: LandingZone, datasets: Iterable[Dataset]) -> None:
        self._zone = zone
        self._datasets = {f"{d.domain}.{d.name}": d for d in datasets}

    def query(self, name: str, day: date) -> str:
        """Return the SQL that reads a day's files of a dataset.

        The last column, `file`, is the name of each row's file. Columns of CSV are text; those of
        JSON and Parquet have the types that the files give them.

        Args:
            name: `<domain>.<dataset>`.
            day: The day of delivery.

        Raises:
            LakehouseError: there is no such dataset, no readable file was delivered on the day, or
                the landing zone is in the cloud.
        """
        dataset = self._datasets.get(name)
        if dataset is None:
            close = did_you_mean(name, self._datasets) or "."
            raise LakehouseError(f"No dataset is called {name}{close}")
        if not isinstance(self._zone.root, Path):
            raise LakehouseError(
                f"Delivered files can be queried only in a local landing zone; "
                f"{self._zone.root} is in the cloud."
            )
        landed = [f for f in self._zone.files(dataset) if f.delivered_on == day and not f.problem]
        files: dict[str, list[str]] = {}
        for file in landed:
            reader = _READERS.get(Path(file.short_name.lower().removesuffix(".gz")).suffix)
            if reader is not None:
                files.setdefault(reader, []).append(str(file.local))
        if not files:
            raise LakehouseError(
                f"No CSV, JSON or Parquet file of {name} was delivered on {day}; the days with "
                f"deliveries are folders of {self._zone.root}/{dataset.path}."
            )
        root = literal(f"{self._zone.root}/")
        parts = (
            f"SELECT * EXCLUDE (filename), replace(filename, {root}, '') AS file FROM "  # noqa: S608
            + reader.format(files=f"[{', '.join(map(literal, paths))}]")
            for reader, paths in files.items()
        )
        return " UNION ALL BY NAME ".join(parts)
