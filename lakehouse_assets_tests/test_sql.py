"""SQL over the lake: which tables a statement reads, what their names mean, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lakehouse_assets.catalog.registry import MONTH, Column, Registry
from lakehouse_assets.cli.formats import rows_of
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.domains.airline.gold import value as gold_value
from lakehouse_assets.domains.retail.gold import sales as gold_sales
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake import log
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.table_path import TablePath
from lakehouse_assets.lake.views import views
from lakehouse_assets.query.session import ask
from lakehouse_assets_tests.airline.samples import House
from lakehouse_assets_tests.lake.samples import WHOLE, table

FEBRUARY, MARCH = date(2014, 2, 1), date(2014, 3, 1)
_ANY: dict[str, Any] = {
    "string": "x", "bigint": 1, "int": 1, "date": FEBRUARY, "timestamp": datetime(2014, 4, 1),
}  # fmt: skip


@pytest.fixture(scope="module")
def lake(new_house: Callable[..., House]) -> Lake:
    """Two months of small tables; in March no sale is left to test on."""
    house = new_house("sql")
    for month, number in ((FEBRUARY, 1), (MARCH, 2)):
        for stored, given in (
            (gold_value.FACT_FLIGHTS, {"total_flights": number, "year_1_revenue": Decimal("1.50")}),
            (gold_value.CUSTOMER_SPEND, {"completed_amount": Decimal(number)}),
            (gold_sales.SALES_TRAIN, {}),
            (gold_sales.SALES_TEST, {}),
        ):
            row = {
                c.name: _ANY[c.type] for c in stored.columns if not c.nullable and c.type in _ANY
            }
            row |= {c.name: Decimal(1) for c in stored.columns if c.decimal}
            rows = [row | given | {"as_of_month": month}]
            house.put(
                stored, [] if (stored, month) == (gold_sales.SALES_TEST, MARCH) else rows, month
            )
    return house.lake


def asked(lake: Lake, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a statement."""
    return list(rows_of(ask(lake, query).rows))


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("select total_flights from fact_flights", [(2,)]),
        ("select sum(total_flights)::int from airline.fact_flights_history", [(3,)]),
        ("select sum(completed_amount)::int from customer_spend", [(3,)]),
        ("select year_1_flights, year_1_revenue from fact_flights", [(Decimal("1.50"),) * 2]),
        # A month in which a table has no rows is not the month before.
        ("select count(*) from gold_train", [(1,)]),
        ("select count(*) from gold_test", [(0,)]),
        ("select count(*) from gold_test_history", [(1,)]),
    ],
)
def test_a_name_is_the_latest_state_or_every_event(
    lake: Lake, query: str, rows: list[tuple[Any, ...]]
) -> None:
    assert asked(lake, query) == rows


@pytest.mark.parametrize(
    ("query", "opened"),
    [
        ("select 1", set()),
        ("select 'fact_flights' as customer_spend -- sales_train", set()),
        ("-- fact_flights\nselect * from fact_flights", {"fact_flights"}),
        ("show schemas", set()),
        ('select * from AIRLINE."Fact_Flights" as dim_date', {"fact_flights"}),
        ("from gold_test_history", {"sales_test"}),
        ("select * from gold_test", {"sales_test", "sales_train"}),
        ("select (select max(customer_key) from fact_flights)", {"fact_flights"}),
        ("with fact_flights as (select 1) select * from fact_flights", set()),
        ("with s as (select * from customer_spend) select * from s", {"customer_spend"}),
        (
            "with fact_flights as (select * from fact_flights) select * from fact_flights",
            {"fact_flights"},
        ),
        ("explain select * from customer_spend", {"customer_spend"}),
        ("summarize customer_spend", {"customer_spend"}),
        ("describe fact_flights", set()),
        ("select * from fact_flights where customer_key in (from (select customer_key from "
         "airline.customer_spend))", {"fact_flights", "customer_spend"}),
    ],
)  # fmt: skip
def test_only_the_logs_of_tables_that_a_statement_names_are_opened(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, query: str, opened: set[str]
) -> None:
    found: set[str] = set()
    open_table = log.open_table

    def noted(folder: TablePath) -> Any:
        found.add(folder.uri.rpartition("/")[2])
        return open_table(folder)

    monkeypatch.setattr(log, "open_table", noted)
    asked(lake, query)
    assert found == opened


def test_show_and_describe_tell_of_the_lake_alone(lake: Lake) -> None:
    assert asked(lake, "SHOW TABLES;") == [
        ("airline.fact_flights", "snapshot", "latest month"),
        ("airline.fact_flights_history", "snapshot", "every month"),
        ("airline.customer_spend", "aggregate", "every month"),
        ("retail.sales_train", "cumulative", "latest month"),
        ("retail.sales_train_history", "cumulative", "every month"),
        ("retail.sales_test", "cumulative", "latest month"),
        ("retail.sales_test_history", "cumulative", "every month"),
    ]
    assert [row[0] for row in asked(lake, 'show tables in "Retail";')] == [
        "retail.sales_train", "retail.sales_train_history", "retail.sales_test",
        "retail.sales_test_history",
    ]  # fmt: skip
    versions = asked(lake, "describe history fact_flights")
    assert [row[0] for row in versions] == [2, 1, 0]
    assert versions[0][2:] == ("WRITE", "", "test", 1)
    newest = max(Path(lake.uri(gold_value.FACT_FLIGHTS), "_delta_log").glob("*.json"))
    stored = newest.read_bytes()
    newest.write_bytes(b"{")
    try:
        assert asked(lake, "show tables")[0][2] == "cannot be read"
        assert asked(lake, "select count(*) from customer_spend") == [(2,)]
    finally:
        newest.write_bytes(stored)
    columns = {row[0]: row[1:] for row in asked(lake, 'describe airline."Fact_Flights"')}
    assert columns["total_km_flown"] == (
        "bigint", "km", "Distance flown in the two-year window.",
    )  # fmt: skip
    assert columns["year_1_flights"][-1] == "Another name for year_1_revenue."
    assert list(columns) == list(views(REGISTRY)["fact_flights"].columns)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "The statement is empty"),
        (" ; -- nothing", "The statement is empty"),
        ("select 1; select 2", "The text has several statements"),
        ("select ';' as a;\n", None),
        ("select * from fact_flight", "fact_flight; did you mean fact_flights"),
        ("select * from airline.fact_flight", "did you mean airline.fact_flights"),
        ("select * from dim_customers", "dim_customers has not been built"),
        ("select * from xyz", 'No table is called xyz. "show tables"'),
        ("describe history xyz", 'No table is called xyz. "show tables"'),
        ("show tables from retial", "No domain is called retial; did you mean retail? The domains "
         "are airline"),
        ("create or replace temp table t as select 1", "Nothing that a statement creates is kept"),
        ("-- a view\ncreate view v as select 1", "Nothing that a statement creates is kept"),
        ("select total_flight from fact_flights", "did you mean total_flights"),
        ("select f.total_flight from fact_flights f", "did you mean total_flights"),
        ("select 1\nfrom fact_flights\nwhere (", "syntax error"),
        ("select customer_key + 'a' from fact_flights", "Could not convert string"),
        ("select sum('a') from fact_flights", "No function matches"),
        ("select case when x < 50000 then 1 else cast('a' || x as int) end from range(99999) t(x)",
         "Could not convert string"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(lake: Lake, query: str, said: str | None) -> None:
    if said is None:
        assert asked(lake, query) == [(";",)]
        return
    with pytest.raises(LakehouseError) as caught:
        asked(lake, query)
    text = str(caught.value)
    assert said in text
    assert "\n" not in text
    assert "scan_" not in text
    assert text.endswith(".")


def test_two_tables_of_one_name_in_sql_are_refused() -> None:
    id_ = Column("id", "bigint", "Number.", unit="id")
    states = table("whole_history", id_)
    registry = Registry((WHOLE, states))
    assert views(registry)["shop.whole_history"].table == states
    month = gold_value.FACT_FLIGHTS.columns[0]
    monthly = table("sales", id_, month, partition=MONTH, kind="snapshot")
    with pytest.raises(LakehouseError, match="Two tables would have the name sales_history"):
        views(Registry((monthly, table("sales_history", id_))))
