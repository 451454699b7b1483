"""DuckDB's readers of Delta tables and of Azure stores, loaded from installed wheels."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lakehouse_assets.engine.duckdb_sql import literal
from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    import duckdb

UNCHECKED: Final = {"allow_unsigned_extensions": True}
"""With it a connection begins that loads its Delta reader by `load_delta`."""


def load_delta(connection: duckdb.DuckDBPyConnection) -> None:
    """Load the Delta reader unchecked into an `UNCHECKED` connection, which then checks others.

    Checking the signature of its 82 MB takes as long as the rest of the engine's start. The file
    was installed with the environment and is trusted like the binaries of every other package.

    Raises:
        LakehouseError: the wheel is not installed, or is not for this version of DuckDB.
    """
    load(connection, "delta")
    connection.execute("SET allow_unsigned_extensions = false")


def load(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load an extension.

    Raises:
        LakehouseError: its wheel is not installed, or is not for this version of DuckDB.
    """
    connection.execute(f"LOAD {literal(str(_file_of(name)))}")


def _file_of(name: str) -> Path:
    import duckdb

    try:
        wheel = Path(str(files(f"duckdb_extension_{name}")))
    except ModuleNotFoundError:
        wheel = Path()
    file = wheel / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not file.is_file():
        raise LakehouseError(
            f"DuckDB {duckdb.__version__} lacks its extension {name}; install "
            f"duckdb-extension-{name}=={duckdb.__version__}."
        )
    return file
