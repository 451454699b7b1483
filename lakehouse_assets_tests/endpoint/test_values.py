"""What clients read equals what SQL says, in every type and format, many at once."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv
import pytest

from lakehouse_assets.endpoint.values import data_rows
from lakehouse_assets.query.audit import Asked
from lakehouse_assets_tests.endpoint.served import CLERK, ROWS, Served

# Statements over every type; the last ones have types that no table has.
QUERIES = [
    "select * from shop.sales order by sale_id",
    "select shop_id, count(*), sum(amount), avg(weight), max(day), min(share) from sales "
    "group by 1 order by 1",
    "select s.name, sum(amount) filter (where paid) from sales join shops s using (shop_id) "
    "group by 1 order by 1",
    "with big as (select * from sales where amount > 5) select count(*) from big",
    "select array_agg(sale_id order by sale_id) from sales where sale_id < 4",
    "select cast(sale_id as hugeint), cast(sale_id as smallint), cast(sale_id / 8 as float), "
    "cast(sale_id as utinyint) from sales where sale_id in (1, 2)",
    "select 1.5, 'x', true, null, date '2024-01-01' from sales limit 1",
]


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize("user", ["anna", "carl"])
def test_values_are_those_of_sql(served: Served, binary: bool, user: str) -> None:
    access = CLERK if user == "carl" else None
    with psycopg.connect(served.dsn(user)) as client:
        for query in QUERIES:
            if access and "shops" in query:
                continue
            found = client.cursor(binary=binary).execute(query).fetchall()
            assert comparable(found) == comparable(served.sql(query, access)), query
    assert len(found) == 1


def test_rows_are_those_that_were_written(served: Served) -> None:
    with psycopg.connect(served.dsn()) as client:
        assert client.execute("select * from sales order by sale_id").fetchall() == ROWS


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_structures_and_maps_are_json(served: Served, binary: bool) -> None:
    query = (
        "select map{1: date '2024-02-29'}, map{'a': [1, null]}, {'x': 1.50::decimal(9, 2), "
        "'y': 'nan'::double, 'z': map{true: 'é'}}, map{} from shops limit 1"
    )
    with psycopg.connect(served.dsn()) as client:
        (found,) = client.cursor(binary=binary).execute(query).fetchall()
    assert found == (
        {"1": "2024-02-29"}, {"a": [1, None]}, {"x": "1.50", "y": "nan", "z": {"t": "é"}}, {}
    )  # fmt: skip


def comparable(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows whose moments have no zone: SQL's are in UTC."""
    return [
        tuple(v.replace(tzinfo=None) if isinstance(v, datetime) else v for v in row) for row in rows
    ]


PARAMETERS = [
    ("bigint", 9007199254740993), ("int", -5), ("smallint", 7), ("double", 0.1), ("double", -1e300),
    ("boolean", True), ("boolean", False), ("varchar", "it's \\ $1 \"q\" \n 你好"), ("varchar", ""),
    ("date", date(1999, 12, 31)), ("timestamp", datetime(1969, 12, 31, 23, 59, 59, 999999)),
    ("decimal(18,2)", Decimal("-0.05")),
    ("decimal(38,8)", Decimal("12345678901234567890.00000001")),
    ("blob", b"\x00\xff\\'"), ("interval", timedelta(days=3, seconds=5)), ("varchar", None),
    ("bigint[]", [1, None, 3]), ("varchar[]", ["a b", "c,d", 'e"f']),
]  # fmt: skip


@pytest.mark.parametrize("form", ["%s", "%t", "%b"], ids=["any", "text", "binary"])
def test_parameters_arrive_unchanged(served: Served, form: str) -> None:
    with psycopg.connect(served.dsn()) as client:
        for kind, value in PARAMETERS:
            query = f"select cast({form} as {kind}) from shops limit 1"  # noqa: S608  # of a test
            assert client.execute(query, [value]).fetchone() == (value,), (kind, value)


def test_parameters_choose_rows(served: Served) -> None:
    asked = "select count(*) from sales where "
    with psycopg.connect(served.dsn()) as client:
        for condition, values, found in (
            ("sale_id = %s", [4], 1),
            ("note = %s", ["sale 7"], 1),
            ("day = %s", [date(2024, 2, 29)], 1),
            ("amount >= %s and paid = %s", [Decimal("9.5"), True], 18),
            ("note = any(%s)", [["", "sale 9"]], 2),
            ("sale_id = any(%s)", [[1, 2, 5000]], 2),
            ("note = '%%s $1' or note = %s", ["x' or '1'='1"], 0),
        ):  # fmt: skip
            for prepare in (False, True):
                done = client.execute(asked + condition, values, prepare=prepare)
                assert done.fetchone() == (found,), condition


def test_cursors_give_rows_in_parts(served: Served) -> None:
    everything = [row[:1] for row in ROWS]
    for binary in (False, True):
        with psycopg.connect(served.dsn()) as client:
            with client.cursor("parts", binary=binary) as cursor, client.cursor("other") as other:
                cursor.itersize = 64
                cursor.execute("select sale_id from sales where sale_id > %s order by 1", [0])
                other.execute("select sale_id from sales order by 1 desc")
                assert cursor.fetchmany(3) == everything[:3]
                assert other.fetchone() == (1000,)
                assert cursor.fetchmany(2) == everything[3:5]
                assert [*cursor] == everything[5:]
            with client.cursor("held", withhold=True) as held:
                held.execute("select sale_id from sales order by 1")
                client.commit()
                assert held.fetchall() == everything


def test_copy_writes_text_and_csv(served: Served) -> None:
    with psycopg.connect(served.dsn()) as client:
        cursor = client.cursor()
        with cursor.copy(
            "copy (select sale_id, note, tags from sales order by 1) to stdout"
        ) as out:
            out.set_types(["int8", "text", "text[]"])
            assert [*out.rows()] == [(row[0], row[9], row[10]) for row in ROWS]
        options = "with (format csv, header)"
        query = "select sale_id, note from sales order by 1 limit 4"
        with cursor.copy(f"copy ({query}) to stdout {options}") as out:
            text = b"".join(bytes(part) for part in out).decode()
    assert text == ('sale_id,note\n1,"it\'s ""new"",\n\tok\\"\n2,"Grüße, 你好 🛒"\n3,\n4,""\n')


def test_twenty_sessions_at_once_have_no_wrong_answer(served: Served) -> None:
    expected = {n: sum(row[0] for row in ROWS if row[0] % 20 == n) for n in range(20)}

    def ask(number: int) -> None:
        picked = random.Random(number)  # noqa: S311  # of a test
        user = "carl" if number % 5 == 0 else "anna"
        with psycopg.connect(served.dsn(user), autocommit=True) as client:
            for _ in range(5):
                n = picked.randrange(20)
                query = "select sum(sale_id) from sales where sale_id % 20 = %s".replace(
                    "% ", "%% "
                )
                wanted = expected[n]
                if user == "carl":
                    wanted = sum(r[0] for r in ROWS if r[0] % 20 == n and r[1] == 1)
                assert client.execute(query, [n]).fetchone() == (wanted or None,)
                assert client.execute("select current_user").fetchone() == (user,)

    with ThreadPoolExecutor(20) as threads:
        for done in [threads.submit(ask, number) for number in range(20)]:
            done.result()


def test_encoding_takes_little_beside_writing_csv() -> None:
    """A reference of the same run: Arrow's own writer of CSV, which is not Python either."""
    n = 100_000
    batch = pa.record_batch(
        {
            "id": pa.array(range(n)),
            "name": pa.array([f"name {i}" for i in range(n)]),
            "weight": pa.array([i / 7 for i in range(n)]),
            "paid": pa.array([i % 3 == 0 for i in range(n)]),
            "day": pa.array([date(2024, 1, 1 + i % 28) for i in range(n)]),
            "amount": pa.array([Decimal(i) / 100 for i in range(n)], pa.decimal128(18, 2)),
        }
    )
    started = time.process_time()
    for at in range(0, n, 8192):
        data_rows(batch.slice(at, 8192), [0] * 6)
    encoded = time.process_time() - started
    started = time.process_time()
    pa.csv.write_csv(batch, pa.BufferOutputStream())
    written = time.process_time() - started
    # A row at a time in Python takes more than fifty times as long.
    assert encoded < 15 * written


def test_what_clients_ask_is_recorded_with_their_names(served: Served) -> None:
    found: list[Asked] = []
    served.sessions.audit = found.append
    try:
        with psycopg.connect(served.dsn("carl"), autocommit=True) as client:
            client.execute("select sale_id from sales where note = %s", ("x",)).fetchall()
            with pytest.raises(psycopg.Error):
                client.execute("select * from secrets")
            cursor = client.cursor("one_by_one", withhold=True)
            cursor.execute("select sale_id, note from sales")
            cursor.fetchmany(5)
            cursor.close()
    finally:
        served.sessions.audit = None
    asked = [record for record in found if record.statement != "show tables"]
    assert {(r.user, r.role, r.source) for r in asked} == {("carl", "clerk", "postgresql")}
    assert [
        (r.verdict, r.rows) for r in asked if r.statement.startswith("SELECT sale_id FROM")
    ] == [("answered", 0)]
    assert [r.verdict for r in asked if r.tables == ("shop.secrets",)] == ["refused"]
    assert "SELECT sale_id, note FROM sales" in {r.statement for r in asked}
    assert all("'x'" not in r.statement for r in asked)
