"""Small declared tables, frames and lakes that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakehouse_assets.catalog.registry import Column, PartitionColumn, Registry, Table
from lakehouse_assets.engine import current
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.lake.commits import Commit
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Windows, between
from lakehouse_assets.lake.schema import arrow_type
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.store import files_at

# What a lake promises holds on every engine, so that the same test runs on each.
on_both_engines = pytest.mark.parametrize("engine", ["duckdb", "spark"], indirect=True)

COMMIT = Commit(run_id="run-1", asset="shop/daily", partition="p", code_version="v1")


def table(name: str, *columns: Column, **attributes: Any) -> Table:
    """Declare a table of the domain `shop`."""
    attributes = {
        "keys": (), "owner": "team:test", "layer": "silver", "kind": "event",
    } | attributes  # fmt: skip
    return Table(
        domain="shop", name=name, description=f"Table {name}.", columns=columns, **attributes
    )


DAILY = table(
    "daily",
    Column("day", "date", "Day.", nullable=False),
    Column("id", "bigint", "Number.", nullable=False),
    Column("email", "string", "Address.", pii="contact"),
    partition=PartitionColumn("day", "day"),
    keys=("id",),
    constraints={"id_not_negative": "id >= 0"},
)
WHOLE = table(
    "whole",
    Column("id", "bigint", "Number.", nullable=False, unit="pieces"),
    Column("tags", "array<string>", "Tags."),
    keys=("id",),
)


def day(number: int) -> date:
    """Return the n-th day of January 2024, from 1."""
    return date(2024, 1, 1) + timedelta(days=number - 1)


# One row of each of three days.
A, B, C = (day(1), 1, "a@x"), (day(2), 2, "b@x"), (day(3), 3, "c@x")


def window(first: int, last: int) -> Windows:
    """Select days of January 2024, both ends included."""
    return between(PartitionColumn("day", "day"), day(first), day(last + 1))


def make_lake(root: Path | str, *tables: Table, engine: Engine | None = None) -> Lake:
    """Open a lake of those tables, on the test's engine if no other is named."""
    return Lake(root, engine or current.active(), Registry(tables or (DAILY, WHOLE)))


def embedded_lake(root: Path | str, *tables: Table) -> Lake:
    """Open a lake on the embedded engine, while the test's own engine stays the active one."""
    own = current.active()
    other = start_engine("duckdb", "1GB", 2)
    current.activate(own)
    return make_lake(root, *tables, engine=other)


@contextmanager
def using(lake: Lake) -> Iterator[None]:
    """Let the lake's engine be the active one, as it is in a process that has only that."""
    before = current.active()
    current.activate(lake.engine)
    try:
        yield
    finally:
        current.activate(before)


def frame(lake: Lake, declared: Table, rows: Sequence[Sequence[Any]]) -> Any:
    """Make a frame of rows in the order of the declared columns."""
    data = {
        column.name: pa.array([row[i] for row in rows], arrow_type(column))
        for i, column in enumerate(declared.columns)
    }
    return lake.engine.from_arrow(pa.table(data))


def put(lake: Lake, declared: Table, selection: Any, rows: Sequence[Sequence[Any]]) -> Any:
    """Write rows and return the report."""
    with using(lake):
        return lake.write(declared, frame(lake, declared, rows), selection, COMMIT)


def content(lake: Lake, declared: Table, *arguments: Any, **options: Any) -> list[tuple[Any, ...]]:
    """Read a table as a sorted list of tuples."""
    with using(lake):
        return tuples(lake, lake.read(declared, *arguments, **options))


def tuples(lake: Lake, found: Any) -> list[tuple[Any, ...]]:
    """Run a frame; rows as sorted tuples."""
    return in_order(tuple(row.values()) for row in lake.engine.rows(found))


def in_order(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Sort rows that may hold nulls."""
    return sorted(rows, key=repr)


def log_of(lake: Lake, declared: Table) -> Path:
    """Return the folder of a table's Delta log."""
    return Path(lake.uri(declared)) / "_delta_log"


def state(lake: Lake, declared: Table) -> Mapping[str, bytes]:
    """Return every commit of a table, to show that nothing changed."""
    folder = f"{declared.domain}/{declared.name}"
    files = files_at(lake.location, Identity(kind="default"))
    entries = files.below(folder, lambda name: name == "_delta_log")
    commits = [
        replace(entry, path=f"{folder}/{entry.path}")
        for entry in entries
        if entry.path.startswith("_delta_log/") and entry.path.endswith(".json")
    ]
    with files.fetched(commits) as paths:
        return {path.name: path.read_bytes() for path in paths}
