"""The embedded SQLite database of the demo, filled by the domains' generators."""

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
    """Return the address of the embedded database, creating it if necessary.

    Args:
        path: Path of its file.
        sources: Tables to create.
        generate: Writes deliveries into the given folder, from which the tables are filled.
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
    """Fill a table from CSV deliveries; empty text becomes null, as in bronze.

    For a monthly dataset, whose deliveries are snapshots, only the latest one is used.
    """
    if source.dataset.grain == "month" and files:
        files = [file for file in files if file.delivered_on == files[-1].delivered_on]
    names = source.dataset.source_names
    # Keys and cursors that are numbers must compare as numbers; other columns stay text.
    numbers = {*source.key, source.cursor}
    columns = ", ".join(f'"{name}" {"NUMERIC" if name in numbers else "TEXT"}' for name in names)
    database.execute(f'CREATE TABLE "{source.table}" ({columns})')
    insert = f'INSERT INTO "{source.table}" VALUES ({", ".join("?" * len(names))})'  # noqa: S608
    for file in files:
        with file.local.open(encoding="utf-8", newline="") as stream:
            rows = csv.DictReader(stream, None if source.dataset.header else names)
            values = ([row[name] or None for name in names] for row in rows)
            database.executemany(insert, values)
