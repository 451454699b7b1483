"""Translated measures have the values of the SQL they come from, wherever values are missing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.powerbi.dax import UntranslatableError, filter_to_dax, measure_to_dax
from lakehouse_assets_tests.lake.samples import table
from lakehouse_assets_tests.powerbi.dax import evaluate

NAME = "O'Brien's [sales]"
TABLE = table(
    "sold",
    Column("quantity", "bigint", "Pieces.", False),
    Column("price", "double", "Price."),
    Column("target", "double", "Target."),
    Column("status", "string", "Status."),
    Column("sold_on", "date", "Day."),
    Column("returned", "boolean", "Whether it came back."),
    Column("paid", "boolean", "Whether it is paid.", False),
)
SCHEMA = pa.schema(
    [
        ("quantity", pa.int64()), ("price", pa.float64()), ("target", pa.float64()),
        ("status", pa.string()), ("sold_on", pa.date32()), ("returned", pa.bool_()),
        ("paid", pa.bool_()),
    ]
)  # fmt: skip


def rows_of(seed: int, count: int, missing: float) -> list[dict[str, Any]]:
    """Return random rows; `missing` is the share of nulls in columns that may be null."""
    chance = random.Random(seed)  # noqa: S311

    def maybe(value: Any) -> Any:
        return None if chance.random() < missing else value

    return [
        {
            "quantity": chance.randint(-2, 4),
            "price": maybe(chance.choice([-2.5, 0.0, 0.5, 1.25, 7.0])),
            "target": maybe(chance.choice([0.0, 1.0, 2.0])),
            "status": maybe(chance.choice(["", "open", 'say "done"', "ünter way"])),
            "sold_on": maybe(date(2021, chance.randint(8, 10), chance.randint(1, 28))),
            "returned": maybe(chance.random() < 0.5),
            "paid": chance.random() < 0.5,
        }
        for _ in range(count)
    ]


ROWS = [*(rows_of(seed, 25, missing) for seed, missing in enumerate((0.0, 0.3, 0.9, 1.0))), []]
CONDITIONS = [
    "status = 'open'", "status <> 'open'", "status = ''", "not status = 'open'",
    "status in ('open', 'say \"done\"')", "status not in ('open', '')", "price = 0", "price <> 0",
    "price > target", "not (price >= 1 and returned)", "returned", "not returned", "paid",
    "price is null or target is null", "price is not null and not paid",
    "price between 0 and target", "price not between 0 and 1", "sold_on >= date '2021-09-06'",
    "year(sold_on) = 2021 and month(sold_on) <> 9", "length(status) < 5", "price + target > 1",
    "-price < 0", "coalesce(price, target) = 0", "true", "quantity = 0",
    "case status when 'open' then 1 else 2 end = 1", "nullif(price, 0) > 0",
    "coalesce(returned, false)", "not coalesce(returned, paid)",
]  # fmt: skip
MEASURES = [
    "count(*)", "count(price)", "count(status)", "count(distinct status)",
    "count(distinct sold_on)", "sum(price)", "avg(price)", "min(price)", "max(sold_on)",
    "median(price)", "sum(quantity)",
    "sum(price) / nullif(sum(target), 0)", "100 * sum(price) / nullif(count(*), 0)",
    "sum(price + target)", "sum(price - target)", "avg(price * quantity)", "avg(price - 1)",
    "sum(price) - sum(target)", "sum(price) + count(*)", "(sum(price) + 1) * 2", "-sum(price)",
    "avg(price) + avg(target) + avg(quantity)", "avg(abs(price))", "sum(coalesce(price, 0) + 1)",
    "avg(floor(price)) + avg(ceil(price))", "avg(round(price))", "avg(round(price, 1))",
    "sum(case when returned then price end)", "avg(case when returned then 1.0 else 0.0 end)",
    "sum(case when paid then quantity when returned then 1 else 0 end)",
    "count(distinct case when paid then status end)", "max(length(status))",
    "count(case when returned then 1 end)", "avg(price) filter (where status <> 'open')",
    "count(distinct status) filter (where paid)", "count(*) filter (where not returned)",
    "sum(if(paid, price, target))", "case when count(*) > 20 then avg(price) end",
    "sum(case when price / nullif(target, 0) > 1 then 1 end)", "avg(cast(quantity as double))",
    "sum(case when case when returned then price > 0 end then 1 else 5 end)",
]  # fmt: skip


@pytest.fixture(scope="module")
def sql() -> Iterator[duckdb.DuckDBPyConnection]:
    """Return a connection with the rows as tables `rows_0` and so on."""
    with duckdb.connect(config={"threads": 1}) as connection:
        for number, rows in enumerate(ROWS):
            given = pa.Table.from_pylist(rows, SCHEMA)  # noqa: F841  # SQL reads it by name
            connection.execute(f"create table rows_{number} as from given")
        yield connection


def values_of(sql: duckdb.DuckDBPyConnection, expression: str) -> list[Any]:
    """Return the value of an aggregate over each set of rows."""
    found = []
    for number in range(len(ROWS)):
        query = f"select {expression} from sold"  # noqa: S608
        sql.execute(f"create or replace view sold as from rows_{number}")
        found += [value for (value,) in sql.execute(query).fetchall()]
    return [float(value) if isinstance(value, Decimal) else value for value in found]


def same(computed: Any, value: Any, *, counted: bool = False) -> bool:
    """Whether DAX's value is SQL's; DAX counts no rows as blank."""
    if computed is None or value is None:
        return computed is None and (value is None or (counted and value == 0))
    if isinstance(value, int | float):
        return bool(computed == pytest.approx(float(value), rel=1e-9, abs=1e-9))
    return bool(computed == value)


@pytest.mark.parametrize(
    "expression",
    [*MEASURES, *(f"count(*) filter (where {condition})" for condition in CONDITIONS)],
)
def test_a_measure_has_the_same_value_in_dax(
    sql: duckdb.DuckDBPyConnection, expression: str
) -> None:
    dax = measure_to_dax(TABLE, expression, named=NAME)
    for rows, value in zip(ROWS, values_of(sql, expression), strict=True):
        counted = expression.startswith(("count", "100 * sum", "sum(price) + count"))
        assert same(evaluate(dax, NAME, rows), value, counted=counted), (dax, value)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_measure_counts_the_rows_of_a_condition(
    sql: duckdb.DuckDBPyConnection, condition: str
) -> None:
    expression = "sum(price) filter (where paid) / nullif(count(distinct status), 0)"
    dax = measure_to_dax(TABLE, expression, named=NAME, where=condition)
    for number, rows in enumerate(ROWS):
        kept = sql.execute(f"create or replace view sold as from rows_{number}")
        query = f"select {expression} from (from sold where {condition})"  # noqa: S608
        ((value,),) = kept.execute(query).fetchall()
        assert same(evaluate(dax, NAME, rows), value), (dax, value)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_filter_keeps_the_rows_that_sql_keeps(
    sql: duckdb.DuckDBPyConnection, condition: str
) -> None:
    named = NAME.replace("'", "''")
    dax = f"COUNTROWS(FILTER('{named}', {filter_to_dax(TABLE, condition, named=NAME)}))"
    values = values_of(sql, f"count(*) filter (where {condition})")
    for rows, value in zip(ROWS, values, strict=True):
        assert same(evaluate(dax, NAME, rows), value, counted=True), (dax, value)


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("sum(price) over ()", "OVER"), ("price", "outside an aggregate"),
        ("sum(cost)", "cost in"), ("string_agg(status)", "LISTAGG"), ("sum(", "is not valid SQL"),
        ("avg(price like 'a%')", "LIKE"), ("count(distinct status, paid)", "COUNT"),
        ("sum(distinct price)", "DISTINCT"), ("(select 1)", "SELECT"),
        ("sum(sum(price))", "SUM"),
        ("sum(price) filter (where status in (null))", "IN"), ("avg(cast(price as int))", "CAST"),
    ],
)  # fmt: skip
def test_what_has_no_translation_is_refused_by_name(expression: str, named: str) -> None:
    with pytest.raises(UntranslatableError, match=named):
        measure_to_dax(TABLE, expression)
