"""Differences between databases: drivers, sessions, types, and how they write values.

Values are exact by construction: the database itself writes as text those that its driver would
round or change (decimals, timestamps), and the driver returns all others without loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import sqlalchemy as sa

Kind: TypeAlias = Literal[
    "text", "whole", "decimal", "real", "boolean", "date", "moment", "zoned", "time", "bytes"
]
Stream: TypeAlias = Literal["copy", "lines", "arrow", "cursor"]
Written: TypeAlias = "Callable[[Any, Kind, sa.types.TypeEngine[Any]], Any]"

_ISO = 'YYYY-MM-DD"T"HH24:MI:SS'
# Names of database-specific types that have a time zone.
_ZONED = {"DATETIMEOFFSET", "TIMESTAMP_TZ", "TIMESTAMP_LTZ"}
_DECIMALS = {"NUMBER", "MONEY", "SMALLMONEY", "DECFLOAT"}


def _as_it_is(column: Any, _kind: Kind, _type: Any) -> Any:
    return column


def _by_mysql(column: Any, kind: Kind, _type: Any) -> Any:
    import sqlalchemy as sa

    if kind == "real":
        # MySQL writes only six digits of a FLOAT; converted to a double, it writes all of them.
        return column + sa.literal_column("0e0")
    return sa.func.hex(column) if kind == "bytes" else column


def _by_snowflake(column: Any, kind: Kind, _type: Any) -> Any:
    import sqlalchemy as sa

    if kind == "decimal":
        return sa.func.to_varchar(column)
    if kind == "moment":
        return sa.func.to_varchar(column, f"{_ISO}.FF9")
    if kind == "zoned":
        return sa.func.to_varchar(sa.func.convert_timezone("UTC", column), f"{_ISO}.FF9")
    return column


def _by_oracle(column: Any, kind: Kind, found: Any) -> Any:
    import sqlalchemy as sa

    if kind in {"decimal", "whole"}:
        return sa.func.to_char(column, "TM9", "NLS_NUMERIC_CHARACTERS='.,'")
    if kind == "moment":
        fraction = ".FF9" if type(found).__name__ == "TIMESTAMP" else ""
        return sa.func.to_char(column, f"{_ISO}{fraction}")
    if kind == "zoned":
        return sa.func.to_char(sa.func.sys_extract_utc(column), f"{_ISO}.FF9")
    return column


def _by_sql_server(column: Any, kind: Kind, _type: Any) -> Any:
    import sqlalchemy as sa

    if kind == "zoned":
        column = sa.func.switchoffset(column, "+00:00")
    if kind in {"moment", "zoned", "time"}:
        # Style 126 is ISO 8601 with all seven digits of the fraction.
        text: Any = sa.literal_column("varchar(33)")
        return sa.func.convert(text, column, sa.literal_column("126"))
    return column


@dataclass(frozen=True)
class Dialect:
    """A kind of database.

    Attributes:
        title: Its name for people.
        driver: SQLAlchemy's name of its driver.
        module: Python module of the driver and of its errors.
        port: Its default port.
        stream: Method of reading its rows (see `streams.py`).
        session: Statements that start a session.
        arguments: Arguments for its driver, in addition to timeouts (`timeouts.py`).
        written: Returns the expression that selects a column as exact text.
        typed: Whether values have their column's type; SQLite stores any value in any column.
    """

    title: str
    driver: str
    module: str
    port: int | None
    stream: Stream
    session: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    written: Written = _as_it_is
    typed: bool = True


_MYSQL = {
    "module": "pymysql",
    "port": 3306,
    "stream": "lines",
    "session": ("SET time_zone = '+00:00'",),
    "arguments": {"charset": "utf8mb4"},
    "written": _by_mysql,
}
DIALECTS: dict[str, Dialect] = {
    "postgresql": Dialect(
        "PostgreSQL", "postgresql+psycopg", "psycopg", 5432, "copy",
        ("SET TIME ZONE 'UTC'", "SET datestyle = 'ISO'", "SET bytea_output = 'hex'"),
    ),
    "mysql": Dialect("MySQL", "mysql+pymysql", **_MYSQL),  # type: ignore[arg-type]
    "mariadb": Dialect("MariaDB", "mariadb+pymysql", **_MYSQL),  # type: ignore[arg-type]
    "snowflake": Dialect(
        "Snowflake", "snowflake", "snowflake", 443, "arrow",
        written=_by_snowflake,
    ),
    "mssql": Dialect(
        "SQL Server", "mssql+pymssql", "pymssql", 1433, "cursor",
        written=_by_sql_server,
    ),
    "oracle": Dialect(
        "Oracle", "oracle+oracledb", "oracledb", 1521, "cursor",
        (
            "ALTER SESSION SET TIME_ZONE = 'UTC'",
            # Rows must be sorted in the same order in which keys are compared.
            "ALTER SESSION SET NLS_SORT = BINARY", "ALTER SESSION SET NLS_COMP = BINARY",
        ),
        written=_by_oracle,
    ),
    "teradatasql": Dialect("Teradata", "teradatasql", "teradatasql", 1025, "cursor"),
    "sqlite": Dialect("SQLite", "sqlite", "sqlite3", None, "cursor", typed=False),
}  # fmt: skip


def kind_of(found: sa.types.TypeEngine[Any], dialect: str) -> Kind:
    """Return the kind of a column's values, independent of the database's name for the type."""
    from sqlalchemy import types as t

    name = type(found).__name__.upper()
    if name in _ZONED or getattr(found, "timezone", False) or getattr(found, "local_timezone", 0):
        return "time" if isinstance(found, t.Time) else "zoned"
    if name == "TIMESTAMP" and dialect in {"mysql", "mariadb"}:
        return "zoned"
    if name == "TIMESTAMP_NTZ":
        return "moment"
    if name in _DECIMALS or (name == "FLOAT" and dialect == "oracle"):
        return "decimal"
    kinds: tuple[tuple[type, Kind], ...] = (
        (t.DateTime, "moment"), (t.Date, "date"), (t.Time, "time"), (t.Boolean, "boolean"),
        (t.Integer, "whole"), (t.Float, "real"), (t.Numeric, "decimal"), (t._Binary, "bytes"),
    )  # fmt: skip
    return next((kind for known, kind in kinds if isinstance(found, known)), "text")
