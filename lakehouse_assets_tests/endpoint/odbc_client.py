"""A client of psqlODBC, in a process of its own: prints what it read as JSON."""

from __future__ import annotations

import json
import sys

import pyodbc


def read(driver: str, port: str, password: str, options: str) -> dict[str, object]:
    """Ask for metadata and rows over one connection."""
    client = pyodbc.connect(
        f"Driver={driver};Server=127.0.0.1;Port={port};Database=lake;Uid=anna;Pwd={password};"
        f"{options}"
    )
    cursor = client.cursor()
    found: dict[str, object] = {
        "tables": sorted(row.table_name for row in cursor.tables(schema="shop")),
        "columns": [
            [row.column_name, row.type_name] for row in cursor.columns("sales", schema="shop")
        ][:3],
        "primary": [row.column_name for row in cursor.primaryKeys("sales", schema="shop")],
        "foreign": [
            [row[2], row[3], row[7]]
            for row in cursor.foreignKeys(foreignTable="sales", foreignSchema="shop")
        ],
    }
    query = (
        "select count(*), sum(cast(sale_id as decimal(18,2))) from sales "
        "where note like ? and sale_id > ?"
    )
    count, total = cursor.execute(query, "sale%", 4).fetchone()
    found["counted"] = [count, str(total)]
    found["rows"] = len(cursor.execute("select * from sales").fetchall())
    try:
        cursor.execute("select nope from sales")
    except pyodbc.Error as error:
        found["state"] = error.args[0]
    client.close()
    return found


found = [read(*sys.argv[1:], options) for options in ("", "UseDeclareFetch=1;Fetch=100;")]
sys.stdout.write(json.dumps(found))
