"""Databases that the tests have no server for: what they would be asked."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy import types as t

from lakehouse_assets.sources.connection import Source
from lakehouse_assets.sources.dialects import DIALECTS, kind_of
from lakehouse_assets.sources.lookup import ColumnInfo, Window
from lakehouse_assets.sources.streams import statement


def types_of(name):
    """Types of each kind as the dialect reads them from its catalogue."""
    if name == "oracle":
        from sqlalchemy.dialects import oracle as o

        return [o.NUMBER(38, 10), o.BINARY_DOUBLE(), o.DATE(), o.TIMESTAMP(),
                o.TIMESTAMP(timezone=True), o.VARCHAR2(10), o.NUMBER(10, 0)]  # fmt: skip
    if name == "mssql":
        from sqlalchemy.dialects import mssql as m

        return [m.DECIMAL(38, 10), m.REAL(), m.DATE(), m.DATETIME2(7), m.DATETIMEOFFSET(7),
                m.NVARCHAR(10), m.BIGINT()]  # fmt: skip
    # 340 MB, so it is an extra of its own.
    d = pytest.importorskip("teradatasqlalchemy", reason="the extra teradata is not installed")

    return [d.DECIMAL(38, 10), d.FLOAT(), d.DATE(), d.TIMESTAMP(), d.TIMESTAMP(timezone=True),
            d.VARCHAR(10), d.BIGINT()]  # fmt: skip


NAMES = ("Amount", "Ratio", "Day", "SoldAt", "ChangedAt", "Note", "Id")
EXPECTED = {
    "oracle": """
        SELECT to_char(orders.Amount, ?, ?) AS c0, orders.Ratio AS c1,
        to_char(orders.Day, ?) AS c2, to_char(orders.SoldAt, ?) AS c3,
        to_char(sys_extract_utc(orders.ChangedAt), ?) AS c4, orders.Note AS c5,
        to_char(orders.Id, ?, ?) AS c6 FROM orders
        WHERE orders.ChangedAt >= ? AND orders.ChangedAt <= ?
        AND (orders.Note > ? OR orders.Note = ? AND orders.Id > ?)
        ORDER BY orders.Note, orders.Id
    """,
    "mssql": """
        SELECT orders.[Amount] AS c0, orders.[Ratio] AS c1, orders.[Day] AS c2,
        convert(varchar(33), orders.[SoldAt], 126) AS c3,
        convert(varchar(33), switchoffset(orders.[ChangedAt], ?), 126) AS c4,
        orders.[Note] AS c5, orders.[Id] AS c6 FROM orders
        WHERE orders.[ChangedAt] >= ? AND orders.[ChangedAt] <= ?
        AND (orders.[Note] > ? OR orders.[Note] = ? AND orders.[Id] > ?)
        ORDER BY orders.[Note], orders.[Id]
    """,
    "teradatasql": """
        SELECT orders.Amount AS c0, orders.Ratio AS c1, orders.Day AS c2, orders.SoldAt AS c3,
        orders.ChangedAt AS c4, orders.Note AS c5, orders.Id AS c6 FROM orders
        WHERE orders.ChangedAt >= ? AND orders.ChangedAt <= ?
        AND (orders.Note > ? OR orders.Note = ? AND orders.Id > ?)
        ORDER BY orders.Note, orders.Id
    """,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_statements_of_databases_without_a_server(name):
    types = types_of(name)
    source = Source("shop", SecretStr(f"{name}://lake@host/x"))
    dialect = sa.create_engine(source.parsed()).dialect
    table = sa.Table(
        "orders",
        sa.MetaData(),
        *[sa.Column(column, kind) for column, kind in zip(NAMES, types, strict=True)],
    )
    columns = [
        ColumnInfo(c.name, str(c.type), kind_of(c.type, dialect.name), c, c.type)
        for c in table.columns
    ]
    query = statement(source, columns, Window(1, 2), "ChangedAt", ("Note", "Id"), ("x", "7"))
    found = re.sub(r"%\(\w+\)s|:\w+", "?", str(query.compile(dialect=dialect)))
    assert " ".join(found.replace('"', "").split()) == " ".join(EXPECTED[name].split())


def test_kinds():
    expected = {
        "oracle": ["decimal", "real", "moment", "moment", "zoned", "text", "decimal"],
        "mssql": ["decimal", "real", "date", "moment", "zoned", "text", "whole"],
        "teradatasql": ["decimal", "real", "date", "moment", "zoned", "text", "whole"],
    }
    for name, kinds in expected.items():
        assert [kind_of(found, name) for found in types_of(name)] == kinds, name
    plain = {t.LargeBinary(): "bytes", t.Boolean(): "boolean", t.Time(): "time", t.JSON(): "text"}
    assert {found: kind_of(found, "x") for found in plain} == plain
    assert set(DIALECTS) >= {"postgresql", "mysql", "mariadb", "snowflake", *expected}
