"""A table of orders as each database types it, and helpers that copy it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from lakehouse_assets.catalog.datasets import Dataset, text_field
from lakehouse_assets.catalog.sources import SourceTable
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.ingest.limits import FileLimits
from lakehouse_assets.ingest.parquet_records import ParquetReader
from lakehouse_assets.sources.connection import Source
from lakehouse_assets.sources.extraction import CopyRequest, CopyResult, extract

FIELDS = ("Id", "Amount", "Ratio", "Day", "SoldAt", "ChangedAt", "Online", "Note")
ORDERS = Dataset(
    domain="shop",
    name="orders",
    grain="day",
    description="One order.",
    owner="team:shop",
    columns=tuple(text_field(name, f"{name} of the order.") for name in FIELDS),
)
SOURCE = SourceTable(ORDERS, "test", "orders", key=("Id",), cursor="ChangedAt")
NOW = datetime(2021, 9, 6, 5, 0, tzinfo=UTC)
TYPES = {
    "postgresql": ("bigint", "numeric(38,10)", "double precision", "date", "timestamp",
                   "timestamptz", "boolean", "text"),
    "mysql": ("bigint", "decimal(38,10)", "double", "date", "datetime(6)", "datetime(6)",
              "boolean", "longtext character set utf8mb4"),
    "snowflake": ("number(38,0)", "number(38,10)", "float", "date", "timestamp_ntz",
                  "timestamp_tz", "boolean", "varchar"),
    "sqlite": ("integer", "text", "real", "text", "text", "text", "boolean", "text"),
}  # fmt: skip


@dataclass(frozen=True)
class Database:
    """A database of the tests.

    Attributes:
        kind: Which one.
        source: How it is entered.
    """

    kind: str
    source: Source

    def run(self, *statements: str) -> None:
        """Run statements as they are, and commit."""
        with self._engine().begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def make_table(self, types: Sequence[str] | None = None, name: str = "orders") -> None:
        """Make the table of orders anew."""
        if self.kind == "mysql":
            with self._engine("mysql").begin() as connection:
                connection.exec_driver_sql("CREATE DATABASE IF NOT EXISTS shop")
        if self.kind == "snowflake":
            with self._engine().begin() as connection:
                connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS public")
        columns = zip(FIELDS, types or TYPES[self.kind], strict=True)
        listed = ", ".join(f"{field} {kind}" for field, kind in columns)
        self.run(f"DROP TABLE IF EXISTS {name}", f"CREATE TABLE {name} ({listed})")

    def insert(self, rows: Iterable[Sequence[Any]], name: str = "orders") -> None:
        """Insert rows with typed values."""
        values = [dict(zip(FIELDS, row, strict=True)) for row in rows]
        table = sa.table(name, *[sa.column(field.lower()) for field in FIELDS])
        if values:
            with self._engine().begin() as connection:
                lower = [{key.lower(): value for key, value in row.items()} for row in values]
                connection.execute(sa.insert(table), lower)

    def _engine(self, database: str | None = None) -> sa.Engine:
        url = self.source.parsed()
        url = url.set(database=database) if database else url
        arguments = dict(self.source.dialect.arguments)
        return sa.create_engine(url, poolclass=sa.NullPool, connect_args=arguments)


def copied(
    zone: LandingZone,
    database: Database,
    source: SourceTable = SOURCE,
    now: datetime = NOW,
    **wanted: Any,
) -> CopyResult:
    return extract(zone, database.source, source, CopyRequest(**wanted), now)


def rows_in(zone: LandingZone, dataset: Dataset = ORDERS) -> list[tuple[str | None, ...]]:
    """Return what was delivered, file after file."""
    rows: list[tuple[str | None, ...]] = []
    for file in zone.files(dataset):
        with file.local.open("rb", buffering=0) as stream:
            names = dataset.source_names
            for batch in ParquetReader(stream, file.name, names, False, FileLimits()).batches():
                rows += zip(*(column.to_pylist() for column in batch.columns), strict=True)
    return rows


def order(number: int, changed: datetime | str | None = None, note: str = "") -> tuple[Any, ...]:
    """An order of which only little matters."""
    return (number, None, None, None, None, changed, None, note)
