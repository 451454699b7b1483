"""How delivered airline fields become typed silver values, and what is repaired and flagged.

Rules are those of the lab (spec, section 3) in the corrected semantics of section 7. Both functions
keep every row, and the delivered text of each field as `raw_<field>`.
"""

from __future__ import annotations

from datetime import date

from lakehouse_assets.domains.airline.tables import (
    FLIGHTS,
    SILVER_FLIGHTS,
    SILVER_TRANSACTIONS,
    TRANSACTIONS,
)
from lakehouse_assets.domains.conformed.transforms.places import NO_PLACES, is_place_name
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.quality.delivered import lineage_columns, with_text
from lakehouse_assets.quality.fields import Fields, Flag

UNKNOWN = "Unknown"
# What sources write for "nothing", in lower case; the literal texts of empty cells from databases
# and spreadsheets are among them.
NOTHING = ("0", "n/a", "null", "none", "unknown", "#n/a", "#name?", "#null!", *NO_PLACES)
# Blanks within a text; `\s` is not the same set on every engine.
_BLANKS = r" \t\n\f\r"
_ADDRESS = rf"^[^@{_BLANKS}]+@[^@{_BLANKS}]+\.[^@{_BLANKS}]+\z"
PLAUSIBLE_AGES = (12, 100)
# No passenger flew on a scheduled airline before 1 January 1914.
FIRST_AIRLINE_FLIGHT = date(1914, 1, 1)
# The source system counted a 29 February 2014, so days on either side are one further apart.
BEFORE_PHANTOM_DAY = date(2014, 2, 28)
AFTER_PHANTOM_DAY = date(2014, 3, 1)

FLIGHT_FIELDS = Fields(
    FLIGHTS,
    SILVER_FLIGHTS,
    NOTHING,
    facts=(
        "bp_sum", "sum_yr_1", "sum_yr_2", "avg_interval", "max_interval", "exchange_count",
        "avg_discount", "point_notflight",
    ),
    flags={
        "age_implausible": Flag("An age lies in 12 to 100; others were set to null.", "age"),
        "first_flight_implausible": Flag(
            "A first flight lies between 1914 and the window end; others were set to null.",
            "first_flight_date",
        ),
        "last_flight_date_repaired": Flag(
            "A last flight's date exists; impossible ones were repaired from LAST_TO_END."
        ),
        "gender_unknown": Flag("A given gender is male or female; others became Unknown."),
        "city_not_a_place": Flag("A given city has a name; numbers and codes became Unknown."),
        "province_not_a_place": Flag("A given province has a name; others became Unknown."),
        "country_unknown": Flag("A given country is an ISO alpha-2 code; others became Unknown."),
    },
)  # fmt: skip
TRANSACTION_FIELDS = Fields(
    TRANSACTIONS,
    SILVER_TRANSACTIONS,
    NOTHING,
    flags={
        "email_removed": Flag("A given e-mail is an address; others were set to null."),
        "status_unknown": Flag("A purchase has a status; where it is missing it is unknown."),
        "region_unknown": Flag("A purchase has a region; where it is missing it is Unknown."),
        "payment_method_unknown": Flag(
            "A purchase has a payment method; where it is missing it is unknown."
        ),
    },
)

SOURCE_DATES = ("M/d/yyyy",)


def type_flights(bronze: DataFrame, places: DataFrame) -> DataFrame:
    """Type members' snapshots.

    Args:
        bronze: Rows of `bronze_flights`.
        places: Place variants: kind, variant, canonical.

    Returns:
        One row per bronze row: the columns of `silver_flights` (null where a value cannot be
        read), `raw_*` text, and `expected_last_to_end`, what LAST_TO_END should be for the last
        flight's date by the identity of section 1.
    """
    frame = with_text(bronze, FLIGHTS)
    text = {c.name: F.col(f"text_{c.name}") for c in FLIGHTS.fields}
    given = FLIGHT_FIELDS.given
    city, province = given("work_city"), given("work_province")
    frame = frame.select(
        *frame.columns,
        v.whole_number(text["member_no"]).alias("member_no"),
        v.parse_date(text["ffp_date"], *SOURCE_DATES).alias("ffp_date"),
        v.parse_date(text["first_flight_date"], *SOURCE_DATES).alias("first_flight"),
        v.lower(given("gender")).alias("given_gender"),
        v.small_number(text["ffp_tier"]).alias("ffp_tier"),
        v.lower(F.when(is_place_name(city), city)).alias("given_city"),
        (~is_place_name(city)).alias("flag_city_not_a_place"),
        v.lower(F.when(is_place_name(province), province)).alias("given_province"),
        (~is_place_name(province)).alias("flag_province_not_a_place"),
        v.upper(given("work_country")).alias("given_country"),
        v.whole_number(given("age")).alias("given_age"),
        v.parse_date(text["load_time"], *SOURCE_DATES).alias("window_end"),
        v.whole_number(text["flight_count"]).alias("flight_count"),
        v.whole_number(text["bp_sum"]).alias("bp_sum"),
        v.decimal(text["sum_yr_1"]).alias("sum_yr_1"),
        v.decimal(text["sum_yr_2"]).alias("sum_yr_2"),
        v.whole_number(text["seg_km_sum"]).alias("seg_km_sum"),
        v.parse_date(text["last_flight_date"], *SOURCE_DATES).alias("last_flight"),
        v.whole_number(text["last_to_end"]).alias("last_to_end"),
        v.real(text["avg_interval"]).alias("avg_interval"),
        v.whole_number(text["max_interval"]).alias("max_interval"),
        v.whole_number(text["exchange_count"]).alias("exchange_count"),
        v.real(text["avg_discount"]).alias("avg_discount"),
        v.whole_number(text["points_sum"]).alias("points_sum"),
        v.whole_number(text["point_notflight"]).alias("point_notflight"),
    )
    frame = _normalised(v.staged(frame), places)
    age_plausible = F.col("given_age").between(*PLAUSIBLE_AGES)
    first_plausible = (F.col("first_flight") >= F.lit(FIRST_AIRLINE_FLIGHT)) & (
        F.col("first_flight") <= F.col("window_end")
    )
    repaired = F.col("last_flight").isNull() & F.col("last_to_end").isNotNull()
    last_flight_date = F.coalesce(F.col("last_flight"), _last_flight_by_distance())
    gender = F.col("given_gender")
    flags = {
        "age_implausible": F.col("given_age").isNotNull() & ~age_plausible,
        "first_flight_implausible": F.col("first_flight").isNotNull() & ~first_plausible,
        "last_flight_date_repaired": repaired & last_flight_date.isNotNull(),
        "gender_unknown": ~gender.isin("male", "female"),
        "country_unknown": F.col("given_country").isNotNull() & F.col("country").isNull(),
    }
    typed = frame.select(
        *[c for c in frame.columns if c.startswith("raw_")],
        "member_no",
        "ffp_date",
        F.when(first_plausible, F.col("first_flight")).alias("first_flight_date"),
        F.when(gender == F.lit("male"), F.lit("Male"))
        .when(gender == F.lit("female"), F.lit("Female"))
        .otherwise(F.lit(UNKNOWN))
        .alias("gender"),
        "ffp_tier",
        F.coalesce(F.col("city"), F.lit(UNKNOWN)).alias("work_city"),
        F.coalesce(F.col("province"), F.lit(UNKNOWN)).alias("work_province"),
        F.coalesce(F.col("country"), F.lit(UNKNOWN)).alias("work_country"),
        F.when(age_plausible, F.col("given_age")).cast("int").alias("age"),
        "window_end",
        "flight_count",
        "bp_sum",
        "sum_yr_1",
        "sum_yr_2",
        "seg_km_sum",
        last_flight_date.alias("last_flight_date"),
        "last_to_end",
        "avg_interval",
        "max_interval",
        "exchange_count",
        "avg_discount",
        "points_sum",
        "point_notflight",
        *[condition.alias(f"flag_{name}") for name, condition in flags.items()],
        "flag_city_not_a_place",
        "flag_province_not_a_place",
        _expected_last_to_end(F.col("last_flight")).alias("expected_last_to_end"),
        *lineage_columns(FLIGHTS),
    )
    return FLIGHT_FIELDS.flagged(typed)


def type_transactions(bronze: DataFrame) -> DataFrame:
    """Type purchases.

    Args:
        bronze: Rows of `bronze_transactions`.

    Returns:
        One row per bronze row: the columns of `silver_transactions` (null where a key or fact
        cannot be read) and `raw_*` text.
    """
    frame = with_text(bronze, TRANSACTIONS)
    text = {c.name: F.col(f"text_{c.name}") for c in TRANSACTIONS.fields}
    given = TRANSACTION_FIELDS.given
    method, name = v.lower(given("payment_method")), given("customer_name")
    frame = v.staged(
        frame.select(
            *frame.columns,
            v.lower(text["email"]).alias("given_email"),
            v.lower(given("status")).alias("given_status"),
            F.regexp_replace(method, f"[{_BLANKS}_-]+", "_").alias("given_method"),
            F.regexp_replace(name, f"[{_BLANKS}]+", " ").alias("given_name"),
            v.upper(given("region")).alias("given_region"),
        )
    )
    email, method = F.col("given_email"), F.col("given_method")
    is_address = email.rlike(_ADDRESS)
    flags = {
        "email_removed": email.isNotNull() & ~is_address,
        "status_unknown": F.col("given_status").isNull(),
        "region_unknown": F.col("given_region").isNull(),
        "payment_method_unknown": method.isNull(),
    }
    typed = frame.select(
        *[c for c in frame.columns if c.startswith("raw_")],
        v.text_id(text["transaction_id"]).alias("transaction_id"),
        v.whole_number(text["customer_id"]).alias("customer_id"),
        F.coalesce(F.col("given_name"), F.lit(UNKNOWN)).alias("customer_name"),
        F.when(is_address, email).alias("email"),
        v.parse_date(text["purchase_date"], *SOURCE_DATES).alias("purchase_date"),
        v.decimal(text["amount"]).alias("amount"),
        F.coalesce(F.col("given_status"), F.lit("unknown")).alias("status"),
        F.when(method.rlike(r"credit[^\n]?card"), F.lit("credit_card"))
        .when(method.rlike(r"debit[^\n]?card"), F.lit("debit_card"))
        .when(method.contains("paypal"), F.lit("paypal"))
        .when(method.rlike(r"wire[^\n]?transfer"), F.lit("wire_transfer"))
        .otherwise(F.coalesce(method, F.lit("unknown")))
        .alias("payment_method"),
        F.coalesce(F.col("given_region"), F.lit(UNKNOWN)).alias("region"),
        *[condition.alias(f"flag_{name}") for name, condition in flags.items()],
        *lineage_columns(TRANSACTIONS),
    )
    return TRANSACTION_FIELDS.flagged(typed)


def _normalised(frame: DataFrame, places: DataFrame) -> DataFrame:
    """Add `city`, `province` and `country`: canonical names for spelling variants.

    A country that is not listed is null; cities and provinces that are not listed stay.
    """
    columns = list(frame.columns)
    kinds = ("city", "province", "country")
    for kind in kinds:
        known = places.filter(F.col("kind") == F.lit(kind)).select(
            F.col("variant").alias(f"{kind}_variant"), F.col("canonical").alias(f"{kind}_canonical")
        )
        frame = frame.join(known, F.col(f"given_{kind}") == F.col(f"{kind}_variant"), "left")
    names = [
        F.coalesce(F.col(f"{kind}_canonical"), F.col(f"given_{kind}")).alias(kind)
        for kind in ("city", "province")
    ]
    return v.staged(frame.select(*columns, *names, F.col("country_canonical").alias("country")))


def _phantom_day(last_flight: Col) -> Col:
    """Return 1 where the source's imaginary 29 February 2014 lies between flight and window end."""
    crossed = (last_flight <= F.lit(BEFORE_PHANTOM_DAY)) & (
        F.col("window_end") >= F.lit(AFTER_PHANTOM_DAY)
    )
    return F.when(crossed, F.lit(1)).otherwise(F.lit(0))


def _expected_last_to_end(last_flight: Col) -> Col:
    """Compute LAST_TO_END from the date: days to the window's end, which is counted exclusive."""
    return v.days_between(last_flight, F.col("window_end")) + F.lit(1) + _phantom_day(last_flight)


def _last_flight_by_distance() -> Col:
    """Compute the last flight's date from LAST_TO_END, which survives an impossible date.

    On the phantom day itself the date is the real day before it, 28 February.
    """
    plain = v.add_days(F.col("window_end"), F.lit(1) - F.col("last_to_end"))
    shifted = v.add_days(F.col("window_end"), F.lit(2) - F.col("last_to_end"))
    crossed = (plain < F.lit(AFTER_PHANTOM_DAY)) & (F.col("window_end") >= F.lit(AFTER_PHANTOM_DAY))
    return F.when(crossed, F.least(shifted, F.lit(BEFORE_PHANTOM_DAY))).otherwise(plain)
