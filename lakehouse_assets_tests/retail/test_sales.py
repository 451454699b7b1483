"""Store and online sales from delivered text to one fact: hand-made rows, answers by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from lakehouse_assets.engine import F
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.ingest.datasets import quarantine_table, rejects_table
from lakehouse_assets.retail.tables.online_sales import ONLINE_SALES, SILVER_ONLINE_SALES
from lakehouse_assets.retail.tables.store_sales import SILVER_STORE_SALES, STORE_SALES
from lakehouse_assets.retail.transforms import sales as rules
from lakehouse_assets_tests.airline.samples import House, bronze, differing_types
from lakehouse_assets_tests.retail.samples import ORDER, SALE, deliver, order, quoted_csv, sale


def test_a_plain_store_sale_is_typed_field_by_field(engine: Engine) -> None:
    frame = rules.type_store_sales(bronze(engine, STORE_SALES, [SALE]))
    assert differing_types(engine, frame, SILVER_STORE_SALES) == {}
    (row,) = engine.rows(frame)
    assert {name: row[name] for name in SILVER_STORE_SALES.column_names} == {
        "sale_id": "1", "week_starting": date(2021, 8, 30), "store": 3, "brand": "BrandA",
        "quantity": 12_000, "advert": 1, "price": Decimal("2.2100"),
        "revenue": Decimal("26520.0000"), "quality_flags": [], "_source_file": "file.csv",
        "_row_number": 1, "delivered_on": date(2014, 3, 31),
    }  # fmt: skip


def test_a_plain_order_is_typed_field_by_field(engine: Engine) -> None:
    frame = rules.type_online_sales(bronze(engine, ONLINE_SALES, [ORDER]))
    assert differing_types(engine, frame, SILVER_ONLINE_SALES) == {}
    (row,) = engine.rows(frame)
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
        sale(Store="", Price="n/a", Advert="", Brand="NULL"),
    ]
    found = engine.rows(rules.type_store_sales(bronze(engine, STORE_SALES, rows)))
    found.sort(key=lambda row: int(row["_row_number"]))
    names = ("week_starting", "store", "brand", "quantity", "advert", "price", "quality_flags")
    price = Decimal("2.2100")
    assert [tuple(row[name] for name in names) for row in found] == [
        (date(2021, 8, 30), 3, "BrandA", 12_000, 0, price, []),
        (None, 3, "BrandA", None, None, price, ["advert_unknown"]),
        (date(2021, 8, 30), None, None, 12_000, None, None, ["advert_unknown"]),
    ]


def test_guests_and_what_is_unknown_of_an_order(engine: Engine) -> None:
    rows = [
        order(CustomerID="NULL", City="", ProductCategory="NA", OrderedAt="2021-02-30T00:00:00")
    ]
    (row,) = engine.rows(rules.type_online_sales(bronze(engine, ONLINE_SALES, rows)))
    assert (row["customer_id"], row["quality_flags"]) == (None, ["guest"])
    assert (row["city"], row["product_category"]) == ("Unknown", "Unknown")
    assert (row["ordered_at"], row["order_date"]) == (None, None)


@pytest.mark.parametrize(
    ("quantity", "price", "revenue", "fits"),
    [
        ("12000", "2.21", "26520.0100", True),
        ("12000", "2.21", "26519.9899", False),
        ("0", "2.21", "0", True),
        ("999999999999999999", "99999999999999.9999", "1", False),
        ("3", "-1", "-3", True),
    ],
)
def test_revenue_is_quantity_times_price_to_the_cent(
    engine: Engine, quantity: str, price: str, revenue: str, fits: bool
) -> None:
    row = sale(Quantity=quantity, Price=price, Revenue=revenue)
    frame = rules.type_store_sales(bronze(engine, STORE_SALES, [row]))
    (found,) = engine.rows(frame.select(rules.revenue_fits().alias("fits")))
    assert found["fits"] is fits
    assert engine.rows(frame.filter(F.col("revenue").isNull())) == []


def test_files_without_header_to_silver(house: House) -> None:
    text = quoted_csv(
        STORE_SALES,
        [
            SALE,
            sale(ID="2", Quantity="-1"),
            sale(ID="3", Revenue="1"),
            sale(ID="4", Price=""),
            sale(ID="5", Brand="BrandX", Advert="7"),
        ],
    )
    deliver(house, STORE_SALES, "2021-09-06", "SalesTransData.txt", text + '"6","2021-08-30","1"\n')
    again = quoted_csv(STORE_SALES, [SALE, sale(ID="7")])
    deliver(house, STORE_SALES, "2021-09-13", "SalesTransData.txt", again)
    orders = quoted_csv(ONLINE_SALES, [ORDER, order(OrderID="O-2", Country="France")])
    deliver(house, ONLINE_SALES, "2021-09-06", "orders.csv", orders)
    tables = [SILVER_STORE_SALES, SILVER_ONLINE_SALES]
    outcome = house.run()
    assert outcome.errors == []
    assert [row["sale_id"] for row in house.rows(tables[0], order="sale_id")] == [
        "1", "3", "5", "7",
    ]  # fmt: skip
    aside = house.rows(quarantine_table(STORE_SALES), order="_source_file, _row_number")
    assert [
        (row["id"], row["disposition"], row["reasons"] or row["duplicate_of"]) for row in aside
    ] == [
        ("2", "quarantined", ["quantity_is_not_negative"]),
        ("4", "quarantined", ["price_is_readable"]),
        ("1", "duplicate", "retail/store_sales/2021-09-06/SalesTransData.txt#1"),
    ]
    (bad,) = house.rows(rejects_table(STORE_SALES))
    assert (bad["line_number"], bad["raw_text"], bad["reason"]) == (
        6, '"6","2021-08-30","1"', "3 columns where 8 are expected",
    )  # fmt: skip
    assert house.count(tables[1]) == 2
    failed = {(w.table, w.check) for w in outcome.warnings}
    assert {
        ("silver_store_sales", "revenue_is_quantity_times_price"),
        ("silver_store_sales", "brand_is_known"),
        ("silver_store_sales", "no_advert_unknown"),
        ("silver_online_sales", "country_is_known"),
    } <= failed
    assert ("silver_online_sales", "revenue_is_quantity_times_price") not in failed
    shown: list[dict[str, Any]] = house.sql(
        "SELECT typeof(price) AS kind, sum(revenue) AS r FROM {t} GROUP BY ALL", t=tables[0]
    )
    # 26,520 three times, and the one that says 1.
    assert shown == [{"kind": "DECIMAL(18,4)", "r": Decimal("79561.0000")}]
