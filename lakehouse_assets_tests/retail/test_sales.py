"""Store and online sales from delivered text to one fact: hand-made rows, answers by hand."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lakehouse_assets.catalog.datasets import quarantine_table, rejects_table
from lakehouse_assets.catalog.gold import Check
from lakehouse_assets.domains.conformed.gold.countries import DIM_COUNTRIES
from lakehouse_assets.domains.conformed.gold.places import DIM_PLACES
from lakehouse_assets.domains.retail.datasets.customers import CUSTOMERS
from lakehouse_assets.domains.retail.datasets.online_sales import ONLINE_SALES, SILVER_ONLINE_SALES
from lakehouse_assets.domains.retail.datasets.store_sales import SILVER_STORE_SALES, STORE_SALES
from lakehouse_assets.domains.retail.gold import sales as gold_sales
from lakehouse_assets.domains.retail.gold.dimensions import (
    DIM_PRODUCTS,
    DIM_RETAIL_CUSTOMERS,
    DIM_STORES,
)
from lakehouse_assets.domains.retail.shared import REVENUE_FITS
from lakehouse_assets.engine import F
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.orchestration.run import RunSummary
from lakehouse_assets.quality.fields import typed_rows
from lakehouse_assets.quality.gold import check_rule
from lakehouse_assets_tests.airline.samples import House, SampleRun, bronze, declared_rows, typed
from lakehouse_assets_tests.retail.samples import (
    CUSTOMER,
    ORDER,
    SALE,
    deliver,
    order,
    quoted_csv,
    sale,
)


def test_a_plain_store_sale_is_typed_field_by_field(engine: Engine) -> None:
    (row,) = typed(engine, STORE_SALES, SALE)
    assert {name: row[name] for name in SILVER_STORE_SALES.column_names} == {
        "sale_id": "1", "week_starting": date(2021, 8, 30), "store": 3, "brand": "BrandA",
        "quantity": 12_000, "advert": 1, "price": Decimal("2.2100"),
        "revenue": Decimal("26520.0000"), "quality_flags": [], "_source_file": "file.csv",
        "_row_number": 1, "delivered_on": date(2014, 3, 31),
    }  # fmt: skip


def test_a_plain_order_is_typed_field_by_field(engine: Engine) -> None:
    (row,) = typed(engine, ONLINE_SALES, ORDER)
    assert {name: row[name] for name in SILVER_ONLINE_SALES.column_names} == {
        "order_id": "O-1", "ordered_at": datetime(2021, 9, 1, 23, 59, 59, tzinfo=UTC),
        "order_date": date(2021, 9, 1), "customer_id": "7590-VHVEG", "country": "Germany",
        "city": "Berlin", "product_category": "Books", "product": "Atlas", "brand": "BrandB",
        "quantity": 2, "price": Decimal("19.9900"), "revenue": Decimal("39.9800"),
        "quality_flags": [], "_source_file": "file.csv", "_row_number": 1,
        "delivered_on": date(2014, 3, 31),
    }  # fmt: skip


def test_what_is_no_number_day_or_mark_is_null(engine: Engine) -> None:
    rows = [
        sale(WeekStarting="8/30/2021", Quantity="12000.0", Advert="0"),
        sale(WeekStarting="30.8.2021", Quantity="12000.5", Advert="2"),
        sale(Store="", Price="n/a", Advert="", Brand="NULL", Quantity="2147483648"),
    ]
    found = typed(engine, STORE_SALES, *rows)
    names = ("week_starting", "store", "brand", "quantity", "advert", "price", "quality_flags")
    price = Decimal("2.2100")
    assert [tuple(row[name] for name in names) for row in found] == [
        (date(2021, 8, 30), 3, "BrandA", 12_000, 0, price, []),
        (None, 3, "BrandA", None, None, price, ["advert_unreadable"]),
        (date(2021, 8, 30), None, None, None, None, None, []),
    ]


def test_what_is_unknown_of_an_order(engine: Engine) -> None:
    odd = order(CustomerID="NULL", City="", ProductCategory="NA", OrderedAt="2021-02-30T00:00:00")
    (row,) = typed(engine, ONLINE_SALES, odd)
    assert (row["customer_id"], row["quality_flags"]) == (None, [])
    assert (row["city"], row["product_category"]) == ("Unknown", "Unknown")
    assert (row["ordered_at"], row["order_date"]) == (None, None)


def test_revenue_is_quantity_times_price_to_the_cent(engine: Engine) -> None:
    cases = {
        ("12000", "2.21", "26520.0100"): True, ("12000", "2.21", "26519.9899"): False,
        ("0", "2.21", "0"): True, ("2147483647", "99999999999999.9999", "1"): False,
        ("3", "-1", "-3"): True,
    }  # fmt: skip
    rows = stored(engine, *[sale(Quantity=n, Price=price, Revenue=r) for n, price, r in cases])
    found = engine.rows(rows.select("_row_number", REVENUE_FITS.condition().alias("fits")))
    fits = [row["fits"] for row in sorted(found, key=lambda row: row["_row_number"])]
    assert fits == list(cases.values())


# --- the fact and what is added up ----------------------------------------------------------

SEPTEMBER, OCTOBER = date(2021, 9, 1), date(2021, 10, 1)
NOW = datetime(2021, 11, 1, tzinfo=UTC)


def stored(engine: Engine, *rows: dict[str, Any]) -> Any:
    """Make rows of `silver_store_sales`."""
    return typed_rows(STORE_SALES, engine, bronze(engine, STORE_SALES, rows))


def sides(engine: Engine, weeks: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split one sale for each of the weeks; return the weeks of both sides."""
    rows = [sale(ID=str(n), WeekStarting=week) for n, week in enumerate(weeks)]
    found = []
    for train in (True, False):
        frame = gold_sales.split_by_time(stored(engine, *rows), SEPTEMBER, train=train)
        side = declared_rows(engine, frame, gold_sales.SALES_TRAIN)
        found.append(sorted(str(row["week_starting"]) for row in side))
    return found[0], found[1]


def week(number: int) -> str:
    return str(date(2021, 1, 4) + timedelta(weeks=number))


def test_six_sales_of_six_weeks_rank_from_0_to_1_and_0_8_is_training(engine: Engine) -> None:
    # Percent ranks 0, 0.2, 0.4, 0.6, 0.8, 1.
    assert sides(engine, [week(n) for n in range(6)]) == (
        [week(n) for n in range(5)], [week(5)],
    )  # fmt: skip


def test_sales_of_a_week_stay_together_and_share_the_rank_of_the_first(engine: Engine) -> None:
    # Eleven sales: the last three weeks begin at ranks 0.4, 0.8 and 0.9.
    weeks = [week(0)] * 4 + [week(1)] * 4 + [week(2)] + [week(3)] * 2
    assert sides(engine, weeks) == (sorted(weeks[:9]), weeks[9:])
    # Of a week that begins below 0.8 all is training, however much of it lies above.
    weeks = [week(0)] * 7 + [week(1)] * 4
    assert sides(engine, weeks) == (weeks, [])
    assert sides(engine, [week(0)]) == ([week(0)], [])
    assert sides(engine, []) == ([], [])


def test_the_split_is_that_of_sql_s_percent_rank(engine: Engine) -> None:
    """Against DuckDB's own percent_rank, over random weeks."""
    rng = random.Random(11)  # noqa: S311 - nothing is kept secret with it
    for _ in range(3):
        weeks = [week(rng.randrange(30)) for _ in range(rng.randrange(2, 60))]
        ranked = duckdb.sql(
            f"SELECT w, percent_rank() OVER (ORDER BY w) r FROM (SELECT unnest({weeks}) w)"  # noqa: S608
        ).fetchall()
        train = sorted(w for w, rank in ranked if rank <= 0.8)
        assert sides(engine, weeks)[0] == train


def test_a_test_that_reaches_into_its_training_is_found(engine: Engine) -> None:
    rows = [sale(ID=str(n), WeekStarting=week(n)) for n in range(4)]
    sales = stored(engine, *rows)

    def of(*numbers: str) -> Any:
        return sales.filter(F.col("sale_id").isin(*numbers))

    late = gold_sales.not_after_training(of("1", "3"), of("0", "1"))
    assert [row["sale_id"] for row in engine.rows(late)] == ["1"]
    assert engine.rows(gold_sales.not_after_training(of("3"), of("0", "1"))) == []
    apart = engine.rows(gold_sales.not_on_one_side(sales, of("2", "3"), of("0", "2")))
    assert sorted(row["sold"] for row in apart) == ["1", "2"]


def test_a_broken_rule_is_counted_over_months_and_an_error(house: House) -> None:
    lake = house.lake
    frames = {
        date(2021, month, 1): lake.engine.from_arrow(
            pa.table({"sale_id": pa.array(ids, pa.int64())})
        )
        for month, ids in ((1, [1, 2]), (2, []), (3, [3]))
    }
    rule = Check("weeks_are_apart", "No sale is in both.", lambda stored: stored)
    broken = check_rule(rule, lake, frames)
    assert (broken.passed, broken.check.blocking) == (False, True)
    assert broken.description == "3 rows break the rule."
    march = {date(2021, 3, 1): frames[date(2021, 3, 1)]}
    assert check_rule(rule, lake, march).description == "1 row breaks the rule."
    assert broken.metadata["by_partition"] == {
        "2021-01-01": {"failing": 2}, "2021-03-01": {"failing": 1},
    }  # fmt: skip
    worth = Check("spenders", "All are members.", lambda stored: stored, "sale_id", blocking=False)
    told = check_rule(worth, lake, frames)
    assert told.description == "1 row of 2021-03-01 breaks the rule: sale_id 3.00."
    february = {day: frame for day, frame in frames.items() if day.month == 2}
    assert check_rule(rule, lake, february).passed


def test_weeks_add_up_months_and_start_where_they_are_told_to(engine: Engine) -> None:
    # 5 September 2021 is a Sunday, the 6th a Monday; the store's weeks start on Thursday.
    rows = [
        (SEPTEMBER, date(2021, 9, 5), "online", 1, "1.5"),
        (SEPTEMBER, date(2021, 9, 6), "online", 2, "2"),
        (OCTOBER, date(2021, 9, 7), "online", 4, "4"),
        (OCTOBER, date(2021, 9, 2), "store", 16, "16"),
    ]
    days = engine.from_arrow(
        pa.Table.from_pylist(
            [
                {"as_of_month": month, "sale_date": day, "channel": channel, "store": 1,
                 "country_code": "US", "brand": "BrandA", "sale_count": 1, "quantity": quantity,
                 "revenue": Decimal(revenue)}
                for month, day, channel, quantity, revenue in rows
            ],
            schema=arrow_schema(gold_sales.SALES_DAYS),
        )
    )  # fmt: skip

    def weeks(first: Any) -> list[tuple[Any, ...]]:
        frame = gold_sales.sales_weeks(days, first)
        return sorted(
            (r["channel"], r["week_start"], r["quantity"], str(r["revenue"]))
            for r in declared_rows(engine, frame, gold_sales.SALES_WEEKS)
        )

    store = ("store", date(2021, 9, 2), 16, "16.0000")
    assert weeks("monday") == [
        ("online", date(2021, 8, 30), 1, "1.5000"), ("online", date(2021, 9, 6), 6, "6.0000"),
        store,
    ]  # fmt: skip
    assert weeks("thursday") == [("online", date(2021, 9, 2), 7, "7.5000"), store]
    (total,) = engine.rows(gold_sales.totals_of_days(days))
    assert (total["sale_count"], total["quantity"], str(total["revenue"])) == (4, 23, "23.5000")


# --- the whole way --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(new_house: Callable[[], House]) -> tuple[House, RunSummary]:
    """Store sales of two months and orders, run; only to be read."""
    house = new_house()
    text = quoted_csv(
        STORE_SALES,
        [
            SALE,
            sale(ID="2", Quantity="-1"),
            sale(ID="3", Revenue="1"),
            sale(ID="4", Price=""),
            sale(ID="5", Brand="BrandX", Advert="7", Store="99"),
        ],
    )
    text += '"6","2021-08-30","1"\n'
    deliver(house, STORE_SALES, "2021-09-06", "SalesTransData.txt", text)
    again = [SALE, sale(ID="7", WeekStarting="2021-09-27", Store="6")]
    deliver(house, STORE_SALES, "2021-10-04", "SalesTransData.txt", quoted_csv(STORE_SALES, again))
    orders = [
        ORDER,
        order(OrderID="O-2", Country="Atlantis", CustomerID=""),
        order(OrderID="O-3", Country="usa", CustomerID="nobody"),
    ]
    deliver(house, ONLINE_SALES, "2021-09-06", "orders.csv", quoted_csv(ONLINE_SALES, orders))
    deliver(house, CUSTOMERS, "2021-09-06", "customers.csv", quoted_csv(CUSTOMERS, [CUSTOMER]))
    dimensions = [DIM_PRODUCTS, DIM_RETAIL_CUSTOMERS, DIM_STORES]
    made = [*dimensions, *(made.table for made in gold_sales.GOLD)]
    outcome = house.run(STORE_SALES, ONLINE_SALES, CUSTOMERS, gold=made)
    assert outcome.errors == []
    return house, outcome


def test_files_without_header_to_silver(shop: tuple[House, RunSummary]) -> None:
    house, outcome = shop
    ids = [row["sale_id"] for row in house.rows(SILVER_STORE_SALES, order="sale_id")]
    assert ids == ["1", "3", "5", "7"]
    aside = house.rows(quarantine_table(STORE_SALES), order="_source_file, _row_number")
    assert [(row["id"], row["reasons"] or row["duplicate_of"]) for row in aside] == [
        ("2", ["quantity_is_not_negative"]),
        ("4", ["price_is_readable"]),
        ("1", "retail/store_sales/2021-09-06/SalesTransData.txt#1"),
    ]
    (bad,) = house.rows(rejects_table(STORE_SALES))
    assert (bad["line_number"], bad["raw_text"], bad["reason"]) == (
        6, '"6","2021-08-30","1"', "3 columns where 8 are expected",
    )  # fmt: skip
    failed = {(w.table, w.check) for w in outcome.warnings}
    assert {
        ("silver_store_sales", "revenue_is_quantity_times_price"),
        ("silver_store_sales", "brand_is_known"),
        ("silver_online_sales", "country_is_known"),
    } <= failed
    assert ("silver_online_sales", "revenue_is_quantity_times_price") not in failed
    shown = house.sql(
        "SELECT typeof(price) AS kind, sum(revenue) AS r FROM {t} GROUP BY ALL",
        t=SILVER_STORE_SALES,
    )
    # 26,520 three times, and the one that says 1.
    assert shown == [{"kind": "DECIMAL(18,4)", "r": Decimal("79561.0000")}]


def test_both_channels_are_one_fact(shop: tuple[House, RunSummary]) -> None:
    house, outcome = shop
    rows = house.rows(
        gold_sales.FACT_SALES, order="as_of_month, channel DESC, store, country_code, revenue"
    )
    assert [
        (r["as_of_month"], r["channel"], r["sale_date"], r["period"], r["store"],
         r["country_code"], r["brand"], r["customer_id"], r["quantity"], str(r["revenue"]))
        for r in rows
    ] == [
        (SEPTEMBER, "store", date(2021, 8, 30), "week", 3, "US", "BrandA", None, 12_000,
         "1.0000"),
        (SEPTEMBER, "store", date(2021, 8, 30), "week", 3, "US", "BrandA", None, 12_000,
         "26520.0000"),
        (SEPTEMBER, "store", date(2021, 8, 30), "week", 99, "Unknown", "BrandX", None, 12_000,
         "26520.0000"),
        (SEPTEMBER, "online", date(2021, 9, 1), "day", None, "DE", "BrandB", "7590-VHVEG", 2,
         "39.9800"),
        (SEPTEMBER, "online", date(2021, 9, 1), "day", None, "US", "BrandB", "nobody", 2,
         "39.9800"),
        (SEPTEMBER, "online", date(2021, 9, 1), "day", None, "Unknown", "BrandB", None, 2,
         "39.9800"),
        (OCTOBER, "store", date(2021, 9, 27), "week", 6, "GB", "BrandA", None, 12_000,
         "26520.0000"),
    ]  # fmt: skip
    assert len({row["sale_key"] for row in rows}) == 7
    products = {row["product_key"]: row for row in house.rows(DIM_PRODUCTS)}
    # As of October all that was sold so far: two brands of the stores and a book.
    assert {(r["product"], r["brand"]) for r in products.values()} == {
        ("All products", "BrandA"), ("All products", "BrandX"), ("Atlas", "BrandB"),
    }  # fmt: skip
    assert {row["product_key"] for row in rows} == products.keys()
    # An unknown store and customer are told, and what was sold stays.
    failed = {(w.table, w.check): w.description for w in outcome.warnings}
    assert failed["fact_sales", "store_is_in_dim_stores"] == "1 row has no match in dim_stores."
    assert failed["fact_sales", "customer_id_is_in_dim_retail_customers"].startswith("1 row has")


def test_customers_stay_known_in_months_without_a_snapshot(shop: tuple[House, RunSummary]) -> None:
    house, _ = shop
    assert [
        (row["as_of_month"], row["customer_id"], row["snapshot_month"])
        for row in house.rows(DIM_RETAIL_CUSTOMERS, order="as_of_month")
    ] == [(SEPTEMBER, "7590-VHVEG", SEPTEMBER), (OCTOBER, "7590-VHVEG", SEPTEMBER)]


def test_training_and_test_by_month(shop: tuple[House, RunSummary]) -> None:
    house, _ = shop
    split = {
        table.name: [
            (row["as_of_month"], row["sale_id"])
            for row in house.rows(table, order="as_of_month, sale_id")
        ]
        for table in (gold_sales.SALES_TRAIN, gold_sales.SALES_TEST)
    }
    assert split == {
        "sales_train": [(SEPTEMBER, n) for n in "135"] + [(OCTOBER, n) for n in "135"],
        "sales_test": [(OCTOBER, "7")],
    }
    (row,) = house.sql(
        "SELECT count(*) AS weeks, sum(sale_count) AS sales, sum(revenue) AS revenue FROM {t} "
        "WHERE as_of_month = DATE '2021-10-01'",
        t=gold_sales.SALES_WEEKS,
    )
    # Store 3's week, that of 99 and of 6, and the three countries' orders.
    assert (row["weeks"], row["sales"]) == (6, 7)
    # 26,520 three times, 1, and 39.98 three times.
    assert row["revenue"] == Decimal("79680.9400")


def test_the_stores_are_those_of_the_devices_and_lie_somewhere(
    shop: tuple[House, RunSummary],
) -> None:
    house, _ = shop
    stores = house.sql(
        "SELECT store_id, city, country, round(latitude) AS latitude FROM {stores} "
        "JOIN {places} USING (place_name) ORDER BY store",
        stores=DIM_STORES,
        places=DIM_PLACES,
    )
    assert len(stores) == 10
    assert stores[0] == {"store_id": "S001", "city": "Miami", "country": "US", "latitude": 26.0}
    assert stores[2] == {"store_id": "S003", "city": "New York", "country": "US", "latitude": 41.0}
    countries = {row["country_code"]: row for row in house.rows(DIM_COUNTRIES)}
    assert len(countries) > 240
    assert (countries["DE"]["country_name"], countries["US"]["iso3"]) == ("germany", "USA")
    assert countries["Unknown"]["iso3"] is None
    assert stores[8] == {"store_id": "S009", "city": "Tokyo", "country": "JP", "latitude": 36.0}


def test_the_sample_s_fact_is_what_its_files_add_up_to(sample: SampleRun) -> None:
    """Against the delivered files, read with nothing but Python."""
    landing = sample.house.settings.landing / "retail"
    sold: list[tuple[int, Decimal]] = []
    for path in sorted(landing.glob("store_sales/*/*.txt")):
        with path.open(encoding="utf-8", newline="") as stream:
            sold += [(int(row[4]), cents(row[7])) for row in csv.reader(stream)]
    ordered: dict[str, tuple[int, Decimal]] = {}
    for path in sorted(landing.glob("online_sales/*/*.csv")):
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                # An order that comes again is the first one.
                ordered.setdefault(row["OrderID"], (int(row["Quantity"]), cents(row["Revenue"])))
    found = sample.house.sql(
        "SELECT channel, count(*) AS n, sum(quantity) AS pieces, sum(revenue) AS revenue "
        "FROM {t} GROUP BY channel",
        t=gold_sales.FACT_SALES,
    )
    wanted = {"store": sold, "online": [*ordered.values()]}
    assert {row["channel"]: (row["n"], row["pieces"], row["revenue"]) for row in found} == {
        channel: (len(rows), sum(n for n, _ in rows), sum(amount for _, amount in rows))
        for channel, rows in wanted.items()
    }


def cents(amount: str) -> Decimal:
    """Read a double that stands for cents."""
    return Decimal(amount).quantize(Decimal("0.01"))
