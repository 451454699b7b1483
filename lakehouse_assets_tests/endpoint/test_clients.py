"""Real clients of PostgreSQL: what they show of tables, keys and comments, and what they ask."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from lakehouse_assets.endpoint.system_tables import numbers_of_tables
from lakehouse_assets_tests.airline.samples import REPOSITORY
from lakehouse_assets_tests.endpoint.served import PASSWORD, ROWS, Served

CLIENTS = REPOSITORY / ".lakehouse" / "sql-clients"
HERE = Path(__file__).parent
RECORDED: dict[str, list[str]] = json.loads((HERE / "recorded.json").read_text(encoding="utf-8"))
# What Npgsql asks when it connects, in words of our own: each type, whether it is an array
# (`typreceive` is array_recv), and of what.
TYPES = """
select t.oid, t.typname, case when p.proname = 'array_recv' then 'a' else t.typtype end as kind,
    case when p.proname = 'array_recv' then t.typelem when t.typtype = 'r' then r.rngsubtype end
from pg_type as t
join pg_namespace as n on (n.oid = t.typnamespace)
left join pg_class as c on (c.oid = t.typrelid)
left join pg_proc as p on p.oid = t.typreceive
left join pg_range as r on (r.rngtypid = t.oid)
where t.typtype in ('b', 'r', 'm', 'e', 'd') or (t.typtype = 'c' and c.relkind = 'c')
order by case when p.proname = 'array_recv' then 1 else 0 end, t.oid
"""


@pytest.mark.parametrize("client", RECORDED)
def test_statements_on_system_tables_that_clients_sent_run(served: Served, client: str) -> None:
    with psycopg.connect(served.dsn(), autocommit=True) as connection:
        for statement in RECORDED[client]:
            try:
                connection.execute(statement)
            except psycopg.Error as error:
                pytest.fail(f"{client}: {error}\n{statement}")


def test_types_are_loaded_as_power_bi_does(served: Served) -> None:
    with psycopg.connect(served.dsn(), autocommit=True) as client:
        cursor = client.execute(";".join(["select version()", TYPES, "select * from pg_enum"]))
        cursor.nextset()
        types = {name: (oid, kind, of) for oid, name, kind, of in cursor.fetchall()}
        client.execute("discard all")
    # PostgreSQL's own numbers.
    for name, number in (("bool", 16), ("int8", 20), ("int4", 23), ("text", 25), ("float8", 701),
                         ("date", 1082), ("timestamptz", 1184), ("numeric", 1700)):  # fmt: skip
        assert types[name][:2] == (number, "b")
        assert types[f"_{name}"][1:] == ("a", number)


def test_psycopg_reads_the_number_of_each_column(served: Served) -> None:
    with psycopg.connect(served.dsn()) as client:
        described = client.execute("select * from sales limit 0").description or []
        assert [(column.name, column.type_code) for column in described] == [
            ("sale_id", 20), ("shop_id", 23), ("amount", 1700), ("share", 1700), ("weight", 701),
            ("paid", 16), ("day", 1082), ("sold_at", 1184), ("local_time", 1114), ("note", 25),
            ("tags", 1009),
        ]  # fmt: skip
        assert (described[2].precision, described[2].scale) == (18, 2)


def environment(**more: str) -> dict[str, str]:
    """Return the variables with which programs find the libraries that were fetched for them."""
    libraries = next(CLIENTS.glob("root/usr/lib/*-linux-gnu"), None)
    return {**os.environ, **({"LD_LIBRARY_PATH": str(libraries)} if libraries else {}), **more}


def psql(served: Served, *arguments: str) -> str:
    """Run psql; return what it prints."""
    fetched = next(CLIENTS.glob("root/usr/lib/postgresql/*/bin/psql"), None)
    program = shutil.which("psql") or fetched
    if program is None:
        pytest.skip("psql is not installed; run `make sql-clients`")
    command = [
        str(program),
        served.dsn(),
        "-X",
        "-P",
        "pager=off",
        "-v",
        "ON_ERROR_STOP=1",
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_psql_shows_tables_keys_and_comments(served: Served) -> None:
    table = psql(served, "-c", r"\d+ shop.sales")
    assert "amount     | numeric(18,2)" in table
    assert "What was paid. Unit: EUR." in table
    assert '"sales_pkey" PRIMARY KEY, btree (sale_id)' in table
    assert "FOREIGN KEY (shop_id) REFERENCES shop.shops(shop_id)" in table
    assert 'TABLE "shop.sales" CONSTRAINT "sales_shop_id_fkey"' in psql(served, "-c", r"\d shops")
    for command, shown in (
        (r"\dt", "shop   | sales"), (r"\dn", "shop "), (r"\l", "lake "), (r"\du", "anna "),
        (r"\dd", "Object descriptions"), (r"\di", "sales_pkey"), (r"\dp", "secrets"),
        (r"\dT", "List of data types"), (r"\conninfo", 'database "lake" as user "anna"'),
    ):  # fmt: skip
        assert shown in psql(served, "-c", command)


def test_psql_shows_rows_and_writes_files(served: Served, tmp_path: Path) -> None:
    assert psql(served, "-x", "-c", "select sale_id, note from sales where sale_id = 7") == (
        "-[ RECORD 1 ]---\nsale_id | 7\nnote    | sale 7\n\n"
    )
    query = "select sale_id, amount from sales order by 1"
    psql(served, "-c", rf"\copy ({query}) to '{tmp_path / 'sales.csv'}' csv header")
    written = (tmp_path / "sales.csv").read_text(encoding="utf-8").splitlines()
    assert written[:3] == ["sale_id,amount", "1,12.50", "2,-9999999999999999.99"]
    assert len(written) == len(ROWS) + 1
    counted = psql(served, "-At", "-v", "FETCH_COUNT=100", "-c", "select sale_id from sales")
    assert len(counted.splitlines()) == len(ROWS)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_sqlalchemy_inspects_as_superset_does(served: Served, driver: str) -> None:
    address = sa.URL.create(
        f"postgresql+{driver}", "anna", PASSWORD, "127.0.0.1", served.port, "lake"
    )
    engine = sa.create_engine(address)
    try:
        inspector = sa.inspect(engine)
        assert inspector.get_schema_names() == ["information_schema", "shop"]
        assert sorted(inspector.get_table_names("shop")) == ["sales", "secrets", "shops"]
        assert inspector.get_view_names("shop") == []
        columns = {c["name"]: c for c in inspector.get_columns("sales", "shop")}
        assert str(columns["amount"]["type"]) == "NUMERIC(18, 2)"
        assert columns["amount"]["comment"] == "What was paid. Unit: EUR."
        assert not columns["sale_id"]["nullable"]
        key = inspector.get_pk_constraint("sales", "shop")
        assert key["constrained_columns"] == ["sale_id"]
        (foreign,) = inspector.get_foreign_keys("sales", "shop")
        assert (foreign["constrained_columns"], foreign["referred_table"]) == (["shop_id"], "shops")
        assert inspector.get_table_comment("sales", "shop")["text"] == "Table sales."
        assert inspector.has_table("sales", "shop")
        assert not inspector.has_table("nope", "shop")
        tables = sa.MetaData()
        tables.reflect(engine, schema="shop")
        sales = tables.tables["shop.sales"]
        with engine.connect() as client:
            query = sa.select(sa.func.sum(sales.c.sale_id)).where(sales.c.note.like("sale %"))
            assert client.execute(query).scalar() == sum(range(5, 1001))
    finally:
        engine.dispose()


def test_jdbc_reads_metadata_and_pages(served: Served) -> None:
    jars = sorted(CLIENTS.glob("postgresql-*.jar"))
    if not jars or shutil.which("java") is None:
        pytest.skip("Java or PostgreSQL's JDBC driver is missing; run `make sql-clients`")
    command = ["java", "-cp", str(jars[-1]), str(HERE / "Jdbc.java"), str(served.port), PASSWORD]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "PostgreSQL 15.0 lake",
        "schemas: information_schema pg_catalog shop",
        "tables: sales/TABLE/Table sales. secrets/TABLE/Table secrets. shops/TABLE/Table shops.",
        "columns: sale_id/int8/NO shop_id/int4/NO amount/numeric/YES share/numeric/YES "
        "weight/float8/YES paid/bool/YES day/date/YES sold_at/timestamptz/YES "
        "local_time/timestamp/YES note/text/YES tags/_text/YES",
        "amount: 18 2 What was paid. Unit: EUR.",
        "primary: sale_id/1/sales_pkey",
        "imported: shops/shop_id/shop_id",
        "exported: sales/shop_id",
        "indexes: sales_pkey/sale_id",
        "paged: 996 5004.90 5004.90",
        "described: 11 numeric 18 2",
        "arrays: 2",
        "error: 42703",
        "time-out: 57014",
        "valid: true",
    ]


def test_odbc_reads_metadata_and_rows(served: Served) -> None:
    libraries = next(CLIENTS.glob("root/usr/lib/*/odbc"), None)
    if libraries is None or not (CLIENTS / "python" / "pyodbc.pyi").exists():
        pytest.skip("psqlODBC or pyodbc is missing; run `make sql-clients`")
    arguments = [str(libraries / "psqlodbcw.so"), str(served.port), PASSWORD]
    done = subprocess.run(
        [sys.executable, str(HERE / "odbc_client.py"), *arguments],
        env=environment(PYTHONPATH=str(CLIENTS / "python")),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    for said in json.loads(done.stdout):
        assert said == {
            "tables": ["sales", "secrets", "shops"],
            "columns": [["sale_id", "int8"], ["shop_id", "int4"], ["amount", "numeric"]],
            "primary": ["sale_id"],
            "foreign": [["shops", "shop_id", "shop_id"]],
            "counted": [996, "500490.00"],
            "rows": 1000,
            "state": "42703",
        }


def test_every_system_table_can_be_read(served: Served) -> None:
    with psycopg.connect(served.dsn(), autocommit=True) as client:
        for name in numbers_of_tables():
            schema, table = name.split(".")
            written = {"main": "pg_catalog", "info": "information_schema"}[schema]
            client.execute(f"select * from {written}.{table}")  # noqa: S608  # of a test
