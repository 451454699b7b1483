"""Customers from delivered text to silver, and whole files of them."""

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import date
from decimal import Decimal
from math import isnan
from pathlib import Path

import dagster as dg
import pytest

from lakehouse_assets.catalog.datasets import bronze_table, quarantine_table, rejects_table
from lakehouse_assets.domains.retail.datasets.customers import CUSTOMERS, SILVER_CUSTOMERS
from lakehouse_assets.domains.retail.gold.churn import GOLD_CHURN_FEATURES, churn_features
from lakehouse_assets.domains.retail.gold.dimensions import dim_retail_customers
from lakehouse_assets.domains.retail.models.churn import categories_of
from lakehouse_assets.domains.retail.models.churn_model import encode
from lakehouse_assets.engine import current
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.quality.fields import typed_rows
from lakehouse_assets.sample.retail.customers import write_customers
from lakehouse_assets.sample.retail.draws import Config
from lakehouse_assets_tests.airline.samples import House, bronze, declared_rows, typed
from lakehouse_assets_tests.retail.samples import CUSTOMER, customer, deliver, quoted_csv

REAL = Path(__file__).parents[3] / "shared" / "data" / "retail" / "customer_churn.csv"


def test_a_plain_customer_is_typed_field_by_field(engine: Engine) -> None:
    (row,) = typed(engine, CUSTOMERS, CUSTOMER)
    assert {name: row[name] for name in SILVER_CUSTOMERS.column_names} == {
        "customer_id": "7590-VHVEG", "gender": "Female", "senior_citizen": "No", "partner": "Yes",
        "dependents": "No", "tenure_months": 1, "discount": "No", "outlet_size": "Big",
        "online_delivery": "No", "order_status": "Shipped", "customer_support": "No",
        "brand": "Local", "store_contract": "Month-to-month", "paperless_billing": "Yes",
        "payment_method": "Electronic check", "unit_price": Decimal("30.00"),
        "total_amount": Decimal("30.00"), "churn": "No", "quality_flags": [],
        "_source_file": "file.csv", "_row_number": 1, "delivered_on": date(2014, 3, 31),
        "snapshot_month": date(2014, 3, 1),
    }  # fmt: skip


def test_senior_citizens_are_yes_or_no(engine: Engine) -> None:
    cases = {"0": "No", "1": "Yes", "1.0": "Yes", "Yes": "Yes", "No": "No", "2": None, "": None}
    rows = typed(engine, CUSTOMERS, *[customer(SeniorCitizen=given) for given in cases])
    assert [row["senior_citizen"] for row in rows] == list(cases.values())


def test_what_the_model_of_churn_reads(engine: Engine, spark_engine: Engine) -> None:
    """The table's average and drift are what the model derives from the other columns."""
    given = {
        "paid": {"tenure_month": "4", "UnitPrice": "30", "TotalAmount": "100"},
        "first month": {"tenure_month": "0", "UnitPrice": "55", "TotalAmount": ""},
        "not paid": {"tenure_month": "3", "UnitPrice": "20", "TotalAmount": ""},
    }
    wanted = {"paid": (25.0, 5.0), "first month": (55.0, 0.0), "not paid": (None, None)}
    delivered = [customer(CustomerID=name, **fields) for name, fields in given.items()]
    for one in (engine, spark_engine):
        current.activate(one)
        known = dim_retail_customers(typed_rows(CUSTOMERS, one, bronze(one, CUSTOMERS, delivered)))
        made = churn_features(known)
        declared_rows(one, made, GOLD_CHURN_FEATURES)
        rows = one.arrow_stream(made).read_all().sort_by("customer_id")
        derived = rows.select(["average_amount", "price_drift"]).to_pylist()
        assert (
            dict(
                zip(
                    rows["customer_id"].to_pylist(),
                    (tuple(r.values()) for r in derived),
                    strict=True,
                )
            )
            == wanted
        )
        model = encode(rows, categories_of(rows))[:, 3:5]
        assert [[None if isnan(x) else x for x in row] for row in model.tolist()] == [
            list(row.values()) for row in derived
        ]


def load(house: House, first: str, last: str) -> dg.ExecuteInProcessResult:
    """Load months of customers to silver."""
    tables = (bronze_table(CUSTOMERS), rejects_table(CUSTOMERS), SILVER_CUSTOMERS,
              quarantine_table(CUSTOMERS))  # fmt: skip
    result = house.materialise("retail_monthly", first, *tables, last=last)
    assert result.success
    return result


def test_a_snapshot_to_silver(house: House) -> None:
    rows = [
        CUSTOMER,
        customer(CustomerID="1", TotalAmount="", tenure_month="0", Churn=""),
        customer(CustomerID="2", TotalAmount=""),
        customer(CustomerID="3", Churn="Maybe", TotalAmount="x"),
        customer(CustomerID="4", tenure_month="-1"),
        customer(CustomerID="5", OrderStatus="", StoreContract="Forever"),
    ]
    deliver(house, CUSTOMERS, "2021-09-06", "a.csv", quoted_csv(CUSTOMERS, rows))
    late = [customer(TotalAmount="60"), customer(CustomerID="6")]
    deliver(house, CUSTOMERS, "2021-09-20", "b.csv", quoted_csv(CUSTOMERS, late))
    deliver(house, CUSTOMERS, "2021-10-04", "a.csv", quoted_csv(CUSTOMERS, [CUSTOMER]))
    result = load(house, "2021-09-01", "2021-10-01")
    kept = house.rows(SILVER_CUSTOMERS, order="snapshot_month, customer_id")
    # The latest snapshot of the month counts for a customer; the next month is on its own. Who has
    # not paid, or may leave or not, is a customer.
    assert [
        (r["snapshot_month"].month, r["customer_id"], r["total_amount"], r["churn"]) for r in kept
    ] == [
        (9, "1", None, None),
        (9, "2", None, "No"),
        (9, "5", Decimal(30), "No"),
        (9, "6", Decimal(30), "No"),
        (9, "7590-VHVEG", Decimal(60), "No"),
        (10, "7590-VHVEG", Decimal(30), "No"),
    ]
    assert kept[2]["quality_flags"] == ["order_status_unknown"]
    aside = house.rows(quarantine_table(CUSTOMERS), order="customerid")
    assert [(r["customerid"], r["disposition"], r["reasons"]) for r in aside] == [
        ("3", "quarantined", ["total_amount_is_readable", "churn_is_yes_or_no"]),
        ("4", "quarantined", ["tenure_months_is_not_negative"]),
        ("7590-VHVEG", "duplicate", []),
    ]  # fmt: skip
    failed = {c.check_name for c in result.get_asset_check_evaluations() if not c.passed}
    # One customer has no amount after the first month, and one has a contract of another kind.
    assert {"store_contract_is_known", "total_amount_is_given"} <= failed
    assert "order_status_is_known" not in failed


def made_customers(folder: Path) -> bytes:
    """Make a snapshot with the defects of the lab's: nobody has a status, some have not paid."""
    file, *_ = write_customers(Config(weeks=4), folder)
    with file.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for number, row in enumerate(rows):
        row["OrderStatus"] = ""
        row["TotalAmount"] = " " if number % 200 == 7 else row["TotalAmount"] or "1"
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode("utf-8-sig")


@pytest.mark.parametrize(("origin", "unpaid_ones", "rows"), [("lab", 11, 7_043), ("made", 3, 600)])
def test_a_whole_file_of_customers(
    house: House, tmp_path: Path, origin: str, unpaid_ones: int, rows: int
) -> None:
    """What the table must hold, counted from the file with nothing but Python."""
    if origin == "lab" and not REAL.exists():
        pytest.skip(f"{REAL} is not there")
    content = REAL.read_bytes() if origin == "lab" else made_customers(tmp_path)
    real = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    deliver(house, CUSTOMERS, "2021-09-06", "CustomerChurnData.csv", content)
    load(house, "2021-09-01", "2021-09-01")
    assert len(real) == house.count(bronze_table(CUSTOMERS)) == rows
    unpaid = [row for row in real if not row["TotalAmount"].strip()]
    assert len(unpaid) == unpaid_ones
    assert house.count(quarantine_table(CUSTOMERS)) == 0
    kept = house.rows(SILVER_CUSTOMERS)
    assert len(kept) == rows
    without = sorted(row["customer_id"] for row in kept if row["total_amount"] is None)
    assert without == sorted(row["CustomerID"] for row in unpaid)
    paid = sum(Decimal(row["TotalAmount"].strip() or 0) for row in real)
    assert sum(row["total_amount"] or 0 for row in kept) == paid
    assert sum(row["tenure_months"] for row in kept) == sum(int(r["tenure_month"]) for r in real)
    seniors = Counter({"0": "No", "1": "Yes"}[row["SeniorCitizen"]] for row in real)
    assert Counter(row["senior_citizen"] for row in kept) == seniors
    if origin == "lab":
        assert Counter(row["churn"] for row in kept) == {"No": 5_174, "Yes": 1_869}
    labels = {"churn": "Churn", "outlet_size": "OutletSize", "brand": "Brand",
              "online_delivery": "OnlineDelivery", "store_contract": "StoreContract",
              "payment_method": "PaymentMethod"}  # fmt: skip
    for name, source in labels.items():
        assert Counter(row[name] for row in kept) == Counter(row[source] for row in real)
    # The file's OrderStatus is empty throughout.
    assert {row["order_status"] for row in kept} == {"Unknown"}
