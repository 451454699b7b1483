"""DuckDB statements: quoting names and values, running statements, and their errors."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    import duckdb

# SQLFrame has one session and catalog per process, so two engines must not share names.
_NUMBERS = itertools.count(1)


def new_name(kind: str) -> str:
    """Return a name that is unique in this process."""
    return f"{kind}_{next(_NUMBERS)}"


def identifier(name: str) -> str:
    """Quote a name."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Quote a text value."""
    return "'" + value.replace("'", "''") + "'"


def first_line(error: Exception) -> str:
    """Return the first line of DuckDB's message; the others point into the statement."""
    return str(error).splitlines()[0]


def run(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyConnection:
    """Run a statement.

    Raises:
        LakehouseError: memory, or the disk for spill files, is used up.
    """
    import duckdb

    try:
        return connection.execute(query)
    except duckdb.OutOfMemoryException as error:
        raise LakehouseError(
            f"The embedded engine ran out of memory ({first_line(error)}); raise "
            "LAKEHOUSE_MEMORY_LIMIT or free disk for its spill files."
        ) from error
