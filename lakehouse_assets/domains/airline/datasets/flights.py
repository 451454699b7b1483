"""Flights: members of the loyalty programme, each with two years of flying.

The source system counts a 29 February 2014, which never existed, so LAST_TO_END is one day too long
for spans that cross it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from lakehouse_assets.catalog.datasets import Field, Flag, silver_table
from lakehouse_assets.catalog.expectations import CALENDAR, Expectation
from lakehouse_assets.domains.airline.reference import UNKNOWN, places
from lakehouse_assets.domains.airline.shared import CURRENCY, MONEY, dataset
from lakehouse_assets.domains.conformed.city_names import is_place_name
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v

DAYS_TO_END = (
    "Days from the last flight to the end of the window, as the source counts them: the "
    "difference between the dates plus 1, or plus 2 if the last flight was before March 2014, "
    "because the source counts a 29 February 2014."
)
# No passenger flew on a scheduled airline before 1 January 1914.
FIRST_AIRLINE_FLIGHT = date(1914, 1, 1)
BEFORE_PHANTOM_DAY = date(2014, 2, 28)
AFTER_PHANTOM_DAY = date(2014, 3, 1)
_REPAIRED = Flag(
    "last_flight_date_repaired",
    "The last flight is on a day that exists; other days were recomputed from LAST_TO_END.",
)
_COUNTED = (
    "flight_count", "seg_km_sum", "points_sum", "last_to_end", "bp_sum", "exchange_count",
    "point_notflight", "avg_interval", "max_interval",
)  # fmt: skip


def _gender(given: Col) -> Col:
    return v.first_of(*((v.lower(given) == F.lit(x.lower()), x) for x in ("Male", "Female")))


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


FLIGHTS = dataset(
    name="flights",
    grain="month",
    description="Monthly snapshot: one member of the loyalty programme with two years of flying.",
    rows=(
        "One row per member and snapshot month: typed, with normalised places; implausible values "
        "are null and flagged. If a member is delivered several times in a month, the latest "
        "delivery counts, and in it the first row."
    ),
    key="member_no",
    counts="latest",
    columns=(
        Field("member_no", "bigint", "Member number.", "MEMBER_NO", need="required", unit="id",
              pii="identifier"),
        Field("ffp_date", "date", "Day the member joined the programme.", "FFP_DATE",
              need="required"),
        Field(
            "first_flight_date", "date", "Day of the first flight; null and flagged if "
            "implausible.",
            "FIRST_FLIGHT_DATE",
            implausible=Flag(
                "first_flight_implausible",
                "The first flight is from 1914 to the end of the window; other days became null.",
            ),
        ),
        Field(
            "gender", "string", "Male or Female.", "GENDER", parse=_gender,
            missing=UNKNOWN, pii="demographic",
            lost=Flag(
                "gender_unknown", "Gender, if given, is male or female; other values became "
                "Unknown."
            ),
        ),
        Field(
            "ffp_tier", "int", "Loyalty tier: 4 Gold, 5 Platinum, 6 Diamond.", "FFP_TIER",
            need="required",
            unit="code",
        ),
        Field(
            "work_city", "string", "City where the member works; normalised.", "WORK_CITY",
            parse=_place, missing=UNKNOWN, pii="location",
            lost=Flag(
                "city_not_a_place",
                "City, if given, is a name; numbers and codes became Unknown.",
            ),
        ),
        Field(
            "work_province", "string", "Province where the member works; normalised.",
            "WORK_PROVINCE",
            parse=_place, missing=UNKNOWN, pii="location",
            lost=Flag(
                "province_not_a_place",
                "Province, if given, is a name; numbers and codes became Unknown.",
            ),
        ),
        Field(
            "work_country", "string", "Country where the member works, ISO alpha-2 code.",
            "WORK_COUNTRY",
            parse=v.upper, missing=UNKNOWN,
            lost=Flag(
                "country_unknown",
                "Country, if given, is an ISO alpha-2 code; other values became Unknown.",
            ),
        ),
        Field(
            "age", "int", "Age of the member; null if not given or not from 12 to 100.", "AGE",
            parse=v.whole_number,
            between=(12, 100), unit="years", pii="demographic",
        ),
        Field(
            "window_end", "date", "Last day of the two-year window that the counts and sums "
            "cover.", "LOAD_TIME", need="required",
        ),
        Field("flight_count", "bigint", "Flights in the window.", "FLIGHT_COUNT", need="required",
              unit="count"),
        Field("bp_sum", "bigint", "Base points earned in the window.", "BP_SUM", need="fact",
              unit="points"),
        Field("sum_yr_1", MONEY, "Fare revenue in the first year of the window.", "SUM_YR_1",
              need="fact", unit=CURRENCY),
        Field("sum_yr_2", MONEY, "Fare revenue in the second year of the window.", "SUM_YR_2",
              need="fact", unit=CURRENCY),
        Field("seg_km_sum", "bigint", "Distance flown in the window.", "SEG_KM_SUM",
              need="required", unit="km"),
        Field(
            "last_flight_date", "date",
            "Day of the last flight; an impossible day is recomputed from LAST_TO_END.",
            "LAST_FLIGHT_DATE", need="required",
        ),
        Field("last_to_end", "bigint", DAYS_TO_END, "LAST_TO_END", need="required", unit="days"),
        Field("avg_interval", "double", "Average interval between flights.", "AVG_INTERVAL",
              need="fact", unit="days"),
        Field("max_interval", "bigint", "Longest interval between flights.", "MAX_INTERVAL",
              need="fact", unit="days"),
        Field("exchange_count", "bigint", "Point redemptions in the window.", "EXCHANGE_COUNT",
              need="fact", unit="count"),
        Field("avg_discount", "double", "Average share of the full fare that was paid.",
              need="fact", unit="share"),
        Field("points_sum", "bigint", "All points earned in the window.", "Points_Sum",
              need="required", unit="points"),
        Field("point_notflight", "bigint", "Point credits in the window for anything but flights.",
              "Point_NotFlight", need="fact", unit="count"),
    ),
    rule=with_places_and_last_flight,
    reference={"places": places},
    flags=(_REPAIRED,),
    expectations=(
        Expectation(
            "measures_are_not_negative", "drop",
            f"{', '.join(_COUNTED)} are not negative; other rows are quarantined.",
            _counts_are_not_negative,
        ),
        Expectation(
            "dates_are_in_the_calendar", "drop",
            "ffp_date and last_flight_date are from 1900 to 2099, the years of dim_date; other "
            "rows are quarantined.",
            lambda: (
                F.col("ffp_date").between(*CALENDAR) & F.col("last_flight_date").between(*CALENDAR)
            ),
        ),
        Expectation(
            "last_to_end_agrees_with_last_flight_date", "warn",
            "LAST_TO_END is the number of days from the last flight to the day after the window, "
            "plus one if the source's imaginary 29 February 2014 is in between.",
            lambda: F.coalesce(F.col("expected_last_to_end") == F.col("last_to_end"), F.lit(True)),
        ),
        Expectation(
            "joined_before_window_end", "warn",
            "The member joined by the end of the window.",
            lambda: F.col("ffp_date") <= F.col("window_end"),
        ),
        Expectation(
            "avg_interval_is_at_most_max_interval", "warn",
            "The average interval is not longer than the longest one.",
            lambda: F.coalesce(F.col("avg_interval") <= F.col("max_interval"), F.lit(True)),
        ),
        Expectation(
            "silver_key_is_positive", "fail",
            "Member numbers start at 1; others mean that columns are shifted.",
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
