"""Two lakes held against each other, table by table.

Stored tables are read by a session of the tests, whichever engine wrote them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.lake import log
from lakehouse_assets.lake.table_path import TablePath
from lakehouse_assets.quality.tables import AUDIT_LOG, MODEL_DECISIONS
from lakehouse_assets_tests.airline.samples import House, ask

# When a run began, and its name, are the run's own.
CLOCKS = frozenset({"load_timestamp", "_ingested_at", "_file_version", "run_id", "recorded_at"})
_SHOWN = 3


@dataclass(frozen=True)
class Difference:
    """A place where two lakes are not the same.

    Attributes:
        table: Name of the table.
        column: The column, or what else of the table it is.
        key: Key of the row; nothing where the whole table is meant.
        here: What the first lake has.
        there: What the second lake has.
    """

    table: str
    column: str
    key: tuple[Any, ...]
    here: Any
    there: Any

    def __str__(self) -> str:
        where = f" of {self.key}" if self.key else ""
        return f"{self.table}.{self.column}{where}: {self.here!r} and {self.there!r}"


def differences(here: House, there: House) -> list[Difference]:
    """Find where two lakes differ in any table of the registry, some of it for each column.

    Decisions about models and the audit log are not compared: each lake has its own registry of
    models and its own versions of tables.
    """
    compared = [table for table in REGISTRY if table not in (MODEL_DECISIONS, AUDIT_LOG)]
    return [found for table in compared for found in _of_table(table, here, there)]


def empty_tables(house: House) -> set[str]:
    """Return the tables that hold no rows or do not exist: nothing was compared there."""
    return {
        table.name
        for table in REGISTRY
        if not (house.path(table) / "_delta_log").is_dir() or house.count(table) == 0
    }


def _of_table(table: Table, here: House, there: House) -> Iterable[Difference]:
    left, right = here.path(table), there.path(table)
    exists = tuple((path / "_delta_log").is_dir() for path in (left, right))
    if exists[0] != exists[1]:
        yield Difference(table.name, "existence", (), *exists)
    if not all(exists):
        return
    facts, others = _facts(left), _facts(right)
    yield from (
        Difference(table.name, name, (), facts[name], others[name])
        for name in facts
        if facts[name] != others[name]
    )
    if facts == others:
        yield from _of_rows(table, left, right)


def _facts(path: Path) -> dict[str, Any]:
    """Return what a table's log says of its shape."""
    found = log.open_table(TablePath(path, ""))
    assert found is not None
    metadata = found.metadata()
    return {
        "schema": [(f.name, str(f.type), f.nullable) for f in log.stored_schema(found)],
        "partition columns": metadata.partition_columns,
        "constraints": log.stored_constraints(found),
        "name": metadata.name,
        "description": metadata.description,
    }


def _of_rows(table: Table, left: Path, right: Path) -> Iterable[Difference]:
    """Compare rows as multisets, exactly: a double is the text that stands for it alone."""
    columns = [column for column in table.columns if column.name not in CLOCKS]
    selected = ", ".join(
        f'CAST("{c.name}" AS VARCHAR) AS "{c.name}"' if c.type == "double" else f'"{c.name}"'
        for c in columns
    )
    query = "SELECT {columns} FROM {{{one}}} EXCEPT ALL SELECT {columns} FROM {{{other}}}"
    only_left, only_right = (
        ask(query.format(columns=selected, one=one, other=other), left=left, right=right)
        for one, other in (("left", "right"), ("right", "left"))
    )
    names = [column.name for column in columns]
    shown: dict[str, int] = {}
    for key, rows in _by_key(table, only_left, only_right).items():
        for found in _of_key(table, key, names, *rows):
            shown[found.column] = shown.get(found.column, 0) + 1
            if shown[found.column] <= _SHOWN:
                yield found


def _by_key(
    table: Table, left: Sequence[dict[str, Any]], right: Sequence[dict[str, Any]]
) -> dict[tuple[Any, ...], tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    groups: dict[tuple[Any, ...], tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {}
    for side, rows in enumerate((left, right)):
        for row in rows:
            key = tuple(row[name] for name in table.keys if name not in CLOCKS)
            groups.setdefault(key, ([], []))[side].append(row)
    return groups


def _of_key(
    table: Table,
    key: tuple[Any, ...],
    names: Sequence[str],
    left: Sequence[dict[str, Any]],
    right: Sequence[dict[str, Any]],
) -> Iterable[Difference]:
    if len(left) != 1 or len(right) != 1:
        yield Difference(table.name, "rows", key, list(left), list(right))
        return
    for name in names:
        if left[0][name] != right[0][name]:
            yield Difference(table.name, name, key, left[0][name], right[0][name])
