"""Transactions: purchases of members."""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import Field, Flag, silver_table
from lakehouse_assets.catalog.expectations import Expectation
from lakehouse_assets.domains.airline.reference import NO_ID, UNKNOWN
from lakehouse_assets.domains.airline.shared import CURRENCY, MONEY, dataset
from lakehouse_assets.engine import Col, F
from lakehouse_assets.engine import vocabulary as v

# White space within a text; `\s` matches different characters on different engines.
_BLANKS = r" \t\n\f\r"
_ADDRESS = rf"^[^@{_BLANKS}]+@[^@{_BLANKS}]+\.[^@{_BLANKS}]+\z"


def _address(given: Col) -> Col:
    email = v.lower(given)
    return F.when(email.rlike(_ADDRESS), email)


def _one_blank(given: Col) -> Col:
    return F.regexp_replace(given, f"[{_BLANKS}]+", " ")


def _payment_method(given: Col) -> Col:
    method = F.regexp_replace(v.lower(given), f"[{_BLANKS}_-]+", "_")
    return v.first_of(
        (method.rlike(r"credit[^\n]?card"), "credit_card"),
        (method.rlike(r"debit[^\n]?card"), "debit_card"),
        (method.contains("paypal"), "paypal"),
        (method.rlike(r"wire[^\n]?transfer"), "wire_transfer"),
        otherwise=method,
    )


TRANSACTIONS = dataset(
    name="transactions",
    grain="day",
    description="One purchase of a member.",
    rows=(
        "One row per transaction_id: typed, with normalised labels. The first delivery of an id "
        "counts (by day, file and row); to correct a purchase, deliver its day again."
    ),
    key="transaction_id",
    columns=(
        Field("transaction_id", "string", "Identifier of the purchase.", need="required",
              parse=v.text_id, nothing=NO_ID),
        Field("customer_id", "bigint", "Number of the member who bought.", need="required",
              unit="id", pii="identifier"),
        Field("customer_name", "string", "Name of the customer; repeated spaces collapsed.",
              parse=_one_blank, missing=UNKNOWN, pii="identifier"),
        Field(
            "email", "string", "E-mail address; in lower case, null if it is not an address.",
            parse=_address,
            nothing=(), pii="contact",
            lost=Flag("email_removed", "E-mail, if given, is an address; other texts became null."),
        ),
        Field("purchase_date", "date", "Day of purchase.", need="required", in_calendar=True,
              delivered="Day of purchase, as yyyy-MM-dd, MM/dd/yyyy or yyyy/MM/dd."),
        Field("amount", MONEY, "Amount of the purchase.", need="required", unit=CURRENCY),
        Field(
            "status", "string", "completed, pending, cancelled, refunded or failed.", parse=v.lower,
            missing="unknown",
            unknown="Status is given; missing values became unknown.",
            labels=("completed", "pending", "cancelled", "refunded", "failed"),
        ),
        Field(
            "payment_method", "string", "credit_card, debit_card, paypal or another method.",
            parse=_payment_method, missing="unknown",
            unknown="Payment method is given; missing values became unknown.",
        ),
        Field(
            "region", "string", "Sales region; in upper case.", parse=v.upper,
            missing=UNKNOWN,
            unknown="Region is given; missing values became Unknown.",
        ),
    ),
    expectations=(
        Expectation(
            "purchased_before_delivery", "warn", "The purchase was delivered on its day or later.",
            lambda: F.col("purchase_date") <= F.col("delivered_on"),
        ),
        Expectation(
            "amount_is_not_negative", "warn",
            "Amount is not negative; refunds are marked by their status.",
            lambda: F.col("amount") >= F.lit(0),
        ),
    ),
    watched=("amount", "status", "payment_method", "region"),
    clustered=("customer_id",),
)  # fmt: skip
SILVER_TRANSACTIONS = silver_table(TRANSACTIONS)
