"""What rows of the airline's silver tables must fulfil, each with its action and its source."""

from __future__ import annotations

from lakehouse_assets.catalog.expectations import CALENDAR, Expectation, in_calendar, known, present
from lakehouse_assets.domains.airline.transforms.silver import FLIGHT_FIELDS, TRANSACTION_FIELDS
from lakehouse_assets.engine import Col, F


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
    *FLIGHT_FIELDS.expectations,
    _not_negative(
        "flight_count",
        "seg_km_sum",
        "points_sum",
        "last_to_end",
        "bp_sum",
        "exchange_count",
        "point_notflight",
        "avg_interval",
        "max_interval",
    ),
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
    Expectation(
        "silver_key_is_positive",
        "fail",
        "Member numbers start at 1 (spec, section 1); others mean the columns have shifted.",
        lambda: F.col("member_no") > F.lit(0),
    ),
)

TRANSACTIONS = (
    present("transaction_id"),
    *TRANSACTION_FIELDS.expectations,
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
)
