"""The embedded database of the demo: SQLite, made by the domains' generators."""

from __future__ import annotations

import csv
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from lakehouse_assets.catalog.sources import SourceTable
from lakehouse_assets.ingest.landing import LandedFile, LandingZone


def embedded(
    path: Path, sources: Sequence[SourceTable], generate: Callable[[Path], Any]
) -> SecretStr:
    """Return the address of the embedded database, which is made if it is not there.

    Args:
        path: Where it lies.
        sources: Tables that it has.
        generate: Writes the deliveries below a folder from which it is filled.
    """
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            generate(Path(folder))
            zone = LandingZone(Path(folder))
            made = Path(folder) / "made.db"
            with closing(sqlite3.connect(made)) as database, database:
                for source in sources:
                    _fill(database, source, zone.files(source.dataset))
            made.replace(path)
    return SecretStr(f"sqlite:///{path.absolute()}")


def _fill(database: sqlite3.Connection, source: SourceTable, files: Sequence[LandedFile]) -> None:
    """Write the rows of CSV deliveries into a table; empty text is null, as in bronze.

    Of a dataset of months, which are states, it holds the latest.
    """
    if source.dataset.grain == "month" and files:
        files = [file for file in files if file.delivered_on == files[-1].delivered_on]
    names = source.dataset.source_names
    # Numbers that count rows are compared as numbers; text stays as it is.
    numbers = {*source.key, source.cursor}
    columns = ", ".join(f'"{name}" {"NUMERIC" if name in numbers else "TEXT"}' for name in names)
    database.execute(f'CREATE TABLE "{source.table}" ({columns})')
    insert = f'INSERT INTO "{source.table}" VALUES ({", ".join("?" * len(names))})'  # noqa: S608
    for file in files:
        with file.local.open(encoding="utf-8", newline="") as stream:
            rows = csv.DictReader(stream, None if source.dataset.header else names)
            values = ([row[name] or None for name in names] for row in rows)
            database.executemany(insert, values)
