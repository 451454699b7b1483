"""Connections that contain only the rows and columns that a role may read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakehouse_assets.catalog.access import Access
from lakehouse_assets.engine.duckdb_sql import identifier
from lakehouse_assets.lake.views import View
from lakehouse_assets.query.policy import masked, prepare

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_SETTINGS: Mapping[str, Any] = {
    # No temporary files: a statement that does not fit into memory fails.
    "temp_directory": "",
    "memory_limit": "1GB",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    # Names must not find variables of this process.
    "python_enable_replacements": False,
}


def locked_connection(
    access: Access,
    names: Mapping[str, View],
    columns: Collection[str] | None,
    read: Callable[[str], pa.RecordBatchReader],
    key: str,
) -> duckdb.DuckDBPyConnection:
    """Return a connection to a separate DuckDB instance for one statement of a role.

    The instance has no access to files, network or settings. Its tables are streams of rows that
    another instance has filtered and masked, so that even an unchecked statement cannot read more.
    Each scan of a table restarts its stream.

    Args:
        access: The role.
        names: Views that the statement reads, by SQL name; the role has grants on their tables.
        columns: Names of the columns that the statement needs; None for all of them.
        read: Runs a SELECT where the names are the lake's views as stored, in an instance that
            `policy.prepare` has prepared with the same key. Several threads may call it.
        key: Key for hashes.
    """
    import duckdb

    connection = duckdb.connect(":memory:", config=dict(_SETTINGS))
    try:
        prepare(connection, key, "statement")
        for number, (name, view) in enumerate(names.items()):
            schema, dot, table = name.rpartition(".")
            quoted = f"{identifier(schema)}.{identifier(table)}" if dot else identifier(table)
            if dot:
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(schema)}")
            rows = _Stream(read, masked(access, view, quoted, columns))
            connection.register(f"rows_{number}", rows)
            connection.execute(f"CREATE VIEW {quoted} AS FROM rows_{number}")
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
        connection.execute("SET enable_external_access = false; SET lock_configuration = true")
    except BaseException:
        connection.close()
        raise
    return connection


@dataclass(eq=False)
class _Stream:
    """Rows that each scan of a statement reads again, such as both sides of a self-join."""

    _read: Callable[[str], pa.RecordBatchReader]
    _rows: str

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._read(self._rows).__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        return self._read(f"FROM ({self._rows}) LIMIT 0").schema.__arrow_c_schema__()
