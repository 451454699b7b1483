"""What rows of the airline's silver tables must fulfil.

Belongs here: expectations beside the tables they speak of, each with its action and its source.
Not here: how values are typed (`transforms/silver.py`) and what happens to rows (`quality/`).
"""

from __future__ import annotations

from lakehouse_assets.conformed.tables import CALENDAR
from lakehouse_assets.engine import Col, F
from lakehouse_assets.quality.expectations import (
    Expectation,
    in_calendar,
    known,
    present,
    unflagged,
)


def _readable_if_given(name: str) -> Expectation:
    return Expectation(
        f"{name}_is_readable",
        "drop",
        f"{name.upper()} can be read if it is given; null is legal (spec, section 1).",
        lambda: (
            F.col(name).isNotNull()
            | F.coalesce(F.col(f"raw_{name}").isin("", ".", "-"), F.lit(True))
        ),
    )


def _not_negative(*names: str) -> Expectation:
    def condition() -> Col:
        ok = F.lit(True)
        for name in names:
            ok = ok & (F.coalesce(F.col(name), F.lit(0)) >= F.lit(0))
        return ok

    return Expectation(
        "measures_are_not_negative", "drop", f"{', '.join(names)} are counts or sums.", condition
    )


FLIGHTS = (
    present("member_no"),
    present("ffp_date"),
    present("ffp_tier"),
    present("window_end"),
    present("flight_count"),
    present("seg_km_sum"),
    present("points_sum"),
    present("last_to_end"),
    present("last_flight_date"),
    *(
        _readable_if_given(name)
        for name in (
            "bp_sum", "sum_yr_1", "sum_yr_2", "avg_interval", "max_interval", "exchange_count",
            "avg_discount", "point_notflight",
        )
    ),
    _not_negative("flight_count", "seg_km_sum", "points_sum", "last_to_end", "bp_sum"),
    Expectation(
        "dates_are_in_the_calendar",
        "drop",
        "Dates lie in 1900 to 2099, the calendar of dim_date.",
        lambda: F.col("ffp_date").between(*CALENDAR) & F.col("last_flight_date").between(*CALENDAR),
    ),
    Expectation(
        "last_to_end_agrees_with_last_flight_date",
        "warn",
        "LAST_TO_END is the days from the last flight to the exclusive window end, one more across "
        "the source's imaginary 29 February 2014 (spec, section 1).",
        lambda: F.coalesce(F.col("expected_last_to_end") == F.col("last_to_end"), F.lit(True)),
    ),
    Expectation(
        "joined_before_window_end",
        "warn",
        "A member has joined before the snapshot's window ends.",
        lambda: F.col("ffp_date") <= F.col("window_end"),
    ),
    Expectation(
        "avg_interval_is_at_most_max_interval",
        "warn",
        "A mean never exceeds the maximum (spec, section 1).",
        lambda: F.coalesce(F.col("avg_interval") <= F.col("max_interval"), F.lit(True)),
    ),
    unflagged("age_implausible", "An age lies in 12 to 100; others were set to null."),
    unflagged(
        "first_flight_implausible",
        "A first flight lies between 1914 and the window end; others were set to null.",
    ),
    unflagged(
        "last_flight_date_repaired",
        "A last flight's date exists; impossible ones were repaired from LAST_TO_END.",
    ),
    unflagged("country_unknown", "A country is an ISO code; others became Unknown."),
    Expectation(
        "silver_key_is_positive",
        "fail",
        "Member numbers start at 1 (spec, section 1); others mean the columns have shifted.",
        lambda: F.col("member_no") > F.lit(0),
    ),
)  # fmt: skip

TRANSACTIONS = (
    present("transaction_id"),
    present("customer_id"),
    present("purchase_date"),
    present("amount"),
    in_calendar("purchase_date"),
    Expectation(
        "purchased_before_delivery",
        "warn",
        "A purchase is delivered on its day or later.",
        lambda: F.col("purchase_date") <= F.col("delivered_on"),
    ),
    Expectation(
        "amount_is_not_negative",
        "warn",
        "Refunds have a status of their own, so amounts are not negative.",
        lambda: F.col("amount") >= F.lit(0),
    ),
    known("status", ("completed", "pending", "cancelled", "refunded", "failed"), "section 3"),
    unflagged("email_removed", "An e-mail is an address; others were set to null."),
)
