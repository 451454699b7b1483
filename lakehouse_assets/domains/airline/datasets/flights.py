"""Flights: members of the loyalty programme, each with two years of flying (spec, sections 1, 3).

The source system counts a 29 February 2014, which never existed: LAST_TO_END is one day too long
for spans that cross it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from lakehouse_assets.catalog.datasets import Dataset, Field, Flag, silver_table
from lakehouse_assets.catalog.expectations import CALENDAR, Expectation
from lakehouse_assets.domains.airline.reference import NOTHING, UNKNOWN, places
from lakehouse_assets.domains.conformed.city_names import is_place_name
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v

CURRENCY = "source currency"
MONEY = "decimal(18,2)"
DAYS_TO_END = (
    "Days from the last flight to the end of the window, as the source counts them: the "
    "difference of the dates plus 1, or plus 2 for a last flight up to 28 February 2014, because "
    "the source has a 29 February 2014."
)
# No passenger flew on a scheduled airline before 1 January 1914.
FIRST_AIRLINE_FLIGHT = date(1914, 1, 1)
BEFORE_PHANTOM_DAY = date(2014, 2, 28)
AFTER_PHANTOM_DAY = date(2014, 3, 1)
_REPAIRED = Flag(
    "last_flight_date_repaired",
    "The last flight is on a day that exists; impossible days were repaired from LAST_TO_END.",
)
_COUNTED = (
    "flight_count", "seg_km_sum", "points_sum", "last_to_end", "bp_sum", "exchange_count",
    "point_notflight", "avg_interval", "max_interval",
)  # fmt: skip


def _gender(given: Col) -> Col:
    gender = v.lower(given)
    return F.when(gender == F.lit("male"), F.lit("Male")).when(
        gender == F.lit("female"), F.lit("Female")
    )


def _place(given: Col) -> Col:
    return v.lower(F.when(is_place_name(given), given))


def with_places_and_last_flight(
    members: DataFrame, reference: Mapping[str, DataFrame]
) -> DataFrame:
    """Map places to their canonical names, and repair or remove impossible dates.

    Adds `expected_last_to_end`: LAST_TO_END as computed from the delivered date of the last flight.
    """
    columns = list(members.columns)
    joined = members
    kinds = ("city", "province", "country")
    for kind in kinds:
        known = reference["places"].filter(F.col("kind") == F.lit(kind))
        known = known.select(
            F.col("variant").alias(f"{kind}_variant"), F.col("canonical").alias(f"{kind}_canonical")
        )
        same = F.col(f"work_{kind}") == F.col(f"{kind}_variant")
        joined = joined.join(known, same, "left")
    joined = v.staged(joined.select(*columns, *[f"{kind}_canonical" for kind in kinds]))
    first, last = F.col("first_flight_date"), F.col("last_flight_date")
    possible = (first >= F.lit(FIRST_AIRLINE_FLIGHT)) & (first <= F.col("window_end"))
    repaired = F.coalesce(last, _last_flight_by_distance())
    # An unlisted country becomes null; unlisted cities and provinces are kept.
    changed = {
        "work_city": F.coalesce(F.col("city_canonical"), F.col("work_city")),
        "work_province": F.coalesce(F.col("province_canonical"), F.col("work_province")),
        "work_country": F.col("country_canonical"),
        "first_flight_date": F.when(possible, first),
        "last_flight_date": repaired,
    }
    return joined.select(
        *[name for name in columns if name not in changed],
        *[value.alias(name) for name, value in changed.items()],
        _expected_last_to_end(last).alias("expected_last_to_end"),
        (last.isNull() & repaired.isNotNull()).alias(f"flag_{_REPAIRED.name}"),
    )


def _phantom_day(last_flight: Col) -> Col:
    """Return 1 if the imaginary 29 February 2014 is between last flight and window end, else 0."""
    crossed = (last_flight <= F.lit(BEFORE_PHANTOM_DAY)) & (
        F.col("window_end") >= F.lit(AFTER_PHANTOM_DAY)
    )
    return F.when(crossed, F.lit(1)).otherwise(F.lit(0))


def _expected_last_to_end(last_flight: Col) -> Col:
    """Compute LAST_TO_END as the source does: to the day after the window, with the phantom day."""
    return v.days_between(last_flight, F.col("window_end")) + F.lit(1) + _phantom_day(last_flight)


def _last_flight_by_distance() -> Col:
    """Compute the date of the last flight from LAST_TO_END, for dates that are impossible.

    The phantom day itself becomes the real day before it, 28 February.
    """
    plain = v.add_days(F.col("window_end"), F.lit(1) - F.col("last_to_end"))
    shifted = v.add_days(F.col("window_end"), F.lit(2) - F.col("last_to_end"))
    crossed = (plain < F.lit(AFTER_PHANTOM_DAY)) & (F.col("window_end") >= F.lit(AFTER_PHANTOM_DAY))
    return F.when(crossed, F.least(shifted, F.lit(BEFORE_PHANTOM_DAY))).otherwise(plain)


def _counts_are_not_negative() -> Col:
    ok = F.lit(True)
    for name in _COUNTED:
        ok = ok & (F.coalesce(F.col(name), F.lit(0)) >= F.lit(0))
    return ok


FLIGHTS = Dataset(
    domain="airline",
    name="flights",
    grain="month",
    description="One member of the loyalty programme, with two years of flying, as a snapshot.",
    owner="team:loyalty",
    rows=(
        "One row per member and snapshot month: typed, places normalised, implausible attributes "
        "null and flagged. Of several deliveries in a month the latest counts, then the first row."
    ),
    key="member_no",
    counts="latest",
    nothing=NOTHING,
    dates=("M/d/yyyy",),
    columns=(
        Field("member_no", "bigint", "Member number.", "MEMBER_NO", need="required", unit="id",
              pii="identifier"),
        Field("ffp_date", "date", "Day of joining the programme.", "FFP_DATE", need="required"),
        Field(
            "first_flight_date", "date", "First flight; null if implausible (flagged).",
            "FIRST_FLIGHT_DATE",
            implausible=Flag(
                "first_flight_implausible",
                "The first flight is between 1914 and the end of the window; others became null.",
            ),
        ),
        Field(
            "gender", "string", "Male, Female or Unknown.", "GENDER", parse=_gender,
            missing=UNKNOWN, pii="demographic",
            lost=Flag(
                "gender_unknown", "A given gender is male or female; other values became Unknown."
            ),
        ),
        Field(
            "ffp_tier", "int", "Tier: 4 Gold, 5 Platinum, 6 Diamond.", "FFP_TIER", need="required",
            unit="code",
        ),
        Field(
            "work_city", "string", "City of work, normalised; Unknown if none.", "WORK_CITY",
            parse=_place, missing=UNKNOWN, pii="location",
            lost=Flag(
                "city_not_a_place",
                "A given city is a name; numbers and codes became Unknown.",
            ),
        ),
        Field(
            "work_province", "string", "Province, normalised; Unknown if none.", "WORK_PROVINCE",
            parse=_place, missing=UNKNOWN, pii="location",
            lost=Flag(
                "province_not_a_place", "A given province is a name; other values became Unknown."
            ),
        ),
        Field(
            "work_country", "string", "Country, ISO alpha-2; Unknown if none.", "WORK_COUNTRY",
            parse=v.upper, missing=UNKNOWN,
            lost=Flag(
                "country_unknown",
                "A given country is an ISO alpha-2 code; other values became Unknown.",
            ),
        ),
        Field(
            "age", "int", "Age; null if not given or not 12 to 100.", "AGE", parse=v.whole_number,
            between=(12, 100), unit="years", pii="demographic",
        ),
        Field(
            "window_end", "date", "Last day of the observation window.", "LOAD_TIME",
            need="required",
        ),
        Field("flight_count", "bigint", "Flights in the window.", "FLIGHT_COUNT", need="required",
              unit="count"),
        Field("bp_sum", "bigint", "Base points.", "BP_SUM", need="fact", unit="points"),
        Field("sum_yr_1", MONEY, "Fare revenue, first year.", "SUM_YR_1", need="fact",
              unit=CURRENCY),
        Field("sum_yr_2", MONEY, "Fare revenue, second year.", "SUM_YR_2", need="fact",
              unit=CURRENCY),
        Field("seg_km_sum", "bigint", "Distance flown.", "SEG_KM_SUM", need="required", unit="km"),
        Field(
            "last_flight_date", "date",
            "Last flight; checked against LAST_TO_END, repaired from it where impossible.",
            "LAST_FLIGHT_DATE", need="required",
        ),
        Field("last_to_end", "bigint", DAYS_TO_END, "LAST_TO_END", need="required", unit="days"),
        Field("avg_interval", "double", "Mean interval between flights.", "AVG_INTERVAL",
              need="fact", unit="days"),
        Field("max_interval", "bigint", "Longest interval between flights.", "MAX_INTERVAL",
              need="fact", unit="days"),
        Field("exchange_count", "bigint", "Point redemptions.", "EXCHANGE_COUNT", need="fact",
              unit="count"),
        Field("avg_discount", "double", "Mean share of the full fare that was paid.", need="fact",
              unit="share"),
        Field("points_sum", "bigint", "All points.", "Points_Sum", need="required", unit="points"),
        Field("point_notflight", "bigint", "Point events other than flights.", "Point_NotFlight",
              need="fact", unit="count"),
    ),
    rule=with_places_and_last_flight,
    reference={"places": places},
    flags=(_REPAIRED,),
    expectations=(
        Expectation(
            "measures_are_not_negative", "drop", f"{', '.join(_COUNTED)} are counts or sums.",
            _counts_are_not_negative,
        ),
        Expectation(
            "dates_are_in_the_calendar", "drop",
            "Dates are in 1900 to 2099, the calendar of dim_date.",
            lambda: (
                F.col("ffp_date").between(*CALENDAR) & F.col("last_flight_date").between(*CALENDAR)
            ),
        ),
        Expectation(
            "last_to_end_agrees_with_last_flight_date", "warn",
            "LAST_TO_END is the number of days from the last flight to the exclusive window end, "
            "one more across the source's imaginary 29 February 2014 (spec, section 1).",
            lambda: F.coalesce(F.col("expected_last_to_end") == F.col("last_to_end"), F.lit(True)),
        ),
        Expectation(
            "joined_before_window_end", "warn",
            "A member joined before the end of the snapshot's window.",
            lambda: F.col("ffp_date") <= F.col("window_end"),
        ),
        Expectation(
            "avg_interval_is_at_most_max_interval", "warn",
            "A mean never exceeds the maximum (spec, section 1).",
            lambda: F.coalesce(F.col("avg_interval") <= F.col("max_interval"), F.lit(True)),
        ),
        Expectation(
            "silver_key_is_positive", "fail",
            "Member numbers start at 1 (spec, section 1); others mean that columns are shifted.",
            lambda: F.col("member_no") > F.lit(0),
        ),
    ),
    watched=("ffp_tier", "age", "flight_count", "points_sum"),
    clustered=("member_no",),
    constraints={
        "age_plausible": "age IS NULL OR (age >= 12 AND age <= 100)",
        "flights_not_negative": "flight_count >= 0",
    },
)  # fmt: skip
SILVER_FLIGHTS = silver_table(FLIGHTS)
