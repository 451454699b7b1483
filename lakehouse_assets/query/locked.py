"""Connections that hold nothing but what a role may read, whatever statement they run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from lakehouse_assets.catalog.access import Access
from lakehouse_assets.engine.duckdb_sql import identifier, literal
from lakehouse_assets.lake.views import View
from lakehouse_assets.query.policy import masked, prepare

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


class Locked:
    """An instance of DuckDB that reaches no file, network or setting, and only a role's data.

    Its tables are streams of rows that another instance has filtered and masked, so that even a
    statement that nobody has checked finds nothing else.

    Attributes:
        connection: The only connection to the instance; `interrupt` of another thread stops it.
    """

    def __init__(
        self,
        access: Access,
        read: Callable[[str], pa.RecordBatchReader],
        key: str,
        *,
        memory: str | None = None,
        threads: int | None = None,
        spill: str | None = None,
    ) -> None:
        """Start an instance for a role.

        Args:
            access: The role.
            read: Runs a SELECT over the lake's views where they are not masked; may be called from
                several threads.
            key: Key for hashes, see `policy.prepare`; `read`'s instance must be prepared with it.
            memory: Most memory that it uses, such as `1GB`.
            threads: Threads that it uses.
            spill: Folder for what does not fit into the memory.
        """
        import duckdb

        self._access = access
        self._read = read
        self._shown: dict[str, View] = {}
        self.connection: duckdb.DuckDBPyConnection = duckdb.connect(":memory:")
        given = {"memory_limit": memory, "temp_directory": spill}
        settings = [f"{name} = {literal(value)}" for name, value in given.items() if value]
        if threads:
            settings.append(f"threads = {threads}")
        prepare(self.connection, key, "statement")
        for setting in (
            *settings,
            "autoinstall_known_extensions = false",
            "autoload_known_extensions = false",
            # Names must not find variables of this process.
            "python_enable_replacements = false",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            self.connection.execute(f"SET {setting}")

    def show(self, names: Mapping[str, View], columns: Collection[str] | None = None) -> None:
        """Show the tables that a statement reads, instead of those that are shown.

        Args:
            names: Views by SQL name, all granted to the role, as `read` knows them.
            columns: Names of the columns that the statement needs; None for all of them.
        """
        self.hide()
        for number, (name, view) in enumerate(names.items()):
            quoted = ".".join(map(identifier, name.split(".", 1)))
            rows = masked(self._access, view, quoted, columns)
            self.connection.register(f"rows_{number}", _Stream(self._read, rows))
            schema, _, _ = quoted.rpartition(".")
            if schema:
                self.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            self.connection.execute(f"CREATE OR REPLACE VIEW {quoted} AS FROM rows_{number}")
            self._shown[name] = view

    def hide(self) -> None:
        """Show no tables any more."""
        for number, name in enumerate(self._shown):
            quoted = ".".join(map(identifier, name.split(".", 1)))
            self.connection.execute(f"DROP VIEW IF EXISTS {quoted}")
            self.connection.unregister(f"rows_{number}")
        self._shown = {}

    def close(self) -> None:
        """End the instance."""
        self.connection.close()


class _Stream:
    """Rows that are read anew for each scan of a statement, such as both sides of a self-join."""

    def __init__(self, read: Callable[[str], pa.RecordBatchReader], rows: str) -> None:
        self._read = read
        self._rows = rows

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._read(self._rows).__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        return self._read(f"FROM ({self._rows}) LIMIT 0").schema.__arrow_c_schema__()
