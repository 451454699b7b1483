"""Every table and landing dataset of the airline domain, declared once."""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import Dataset, silver_table, text_field
from lakehouse_assets.catalog.registry import Column

DOMAIN = "airline"
OWNER = "team:loyalty"
MONEY = "decimal(18,2)"
# What adds up any number of amounts.
TOTAL = "decimal(38,2)"
CURRENCY = "source currency"


FLIGHTS = Dataset(
    domain=DOMAIN,
    name="flights",
    grain="month",
    description="One member of the loyalty programme, with two years of flying, as a snapshot.",
    owner=OWNER,
    fields=(
        text_field("MEMBER_NO", "Member number."),
        text_field("FFP_DATE", "Day of joining the programme, M/d/yyyy."),
        text_field("FIRST_FLIGHT_DATE", "Day of the first flight, M/d/yyyy."),
        text_field("GENDER", "Male or Female.", pii=True),
        text_field("FFP_TIER", "Tier: 4, 5 or 6."),
        text_field("WORK_CITY", "City of work.", pii=True),
        text_field("WORK_PROVINCE", "Province of work."),
        text_field("WORK_COUNTRY", "Country of work, ISO 3166 alpha-2."),
        text_field("AGE", "Age.", unit="years", pii=True),
        text_field("LOAD_TIME", "End of the observation window, M/d/yyyy."),
        text_field("FLIGHT_COUNT", "Flights in the window."),
        text_field("BP_SUM", "Base points in the window.", unit="points"),
        text_field("SUM_YR_1", "Fare revenue of the window's first year.", unit=CURRENCY),
        text_field("SUM_YR_2", "Fare revenue of the window's second year.", unit=CURRENCY),
        text_field("SEG_KM_SUM", "Distance flown in the window.", unit="km"),
        text_field("LAST_FLIGHT_DATE", "Day of the last flight, M/d/yyyy."),
        text_field(
            "LAST_TO_END", "Days from the last flight to the end of the window.", unit="days"
        ),
        text_field("AVG_INTERVAL", "Mean interval between flights.", unit="days"),
        text_field("MAX_INTERVAL", "Longest interval between flights.", unit="days"),
        text_field("EXCHANGE_COUNT", "Point redemptions."),
        text_field("avg_discount", "Mean fare as a share of the full fare."),
        text_field("Points_Sum", "All points in the window.", unit="points"),
        text_field("Point_NotFlight", "Point events other than flights."),
    ),
)

TRANSACTIONS = Dataset(
    domain=DOMAIN,
    name="transactions",
    grain="day",
    description="One purchase of a member.",
    owner=OWNER,
    fields=(
        text_field("transaction_id", "Identifier of the purchase."),
        text_field("customer_id", "Member number; number, text or garbage."),
        text_field("customer_name", "Name.", pii=True),
        text_field("email", "E-mail address.", pii=True),
        text_field("purchase_date", "Day of purchase: yyyy-MM-dd, MM/dd/yyyy or yyyy/MM/dd."),
        text_field("amount", "Amount, number or text.", unit=CURRENCY),
        text_field("status", "Status in any case."),
        text_field("payment_method", "Payment method in any spelling."),
        text_field("region", "Sales region in any case."),
    ),
)

DATASETS = (FLIGHTS, TRANSACTIONS)

DAYS_TO_END = (
    "Days from the last flight to the end of the window as the source counts them: the dates' "
    "difference plus 1, or plus 2 for a last flight up to 28 February 2014, since the source has "
    "a 29 February 2014."
)

SILVER_FLIGHTS = silver_table(
    FLIGHTS,
    (
        "One row per member and snapshot month: typed, places normalised, implausible attributes "
        "null and flagged. Of several deliveries in a month the latest counts, then the first row."
    ),
    "member_no",
    (
        Column("member_no", "bigint", "Member number.", False, "id"),
        Column("ffp_date", "date", "Day of joining the programme.", False),
        Column("first_flight_date", "date", "First flight; null if implausible (flagged)."),
        Column("gender", "string", "Male, Female or Unknown.", False, pii=True),
        Column("ffp_tier", "int", "Tier: 4 Gold, 5 Platinum, 6 Diamond.", False, "code"),
        Column("work_city", "string", "City of work, normalised; Unknown if none.", False),
        Column("work_province", "string", "Province, normalised; Unknown if none.", False),
        Column("work_country", "string", "Country, ISO alpha-2; Unknown if none.", False),
        Column("age", "int", "Age; null if not given or not 12 to 100.", unit="years", pii=True),
        Column("window_end", "date", "Last day of the observation window (LOAD_TIME).", False,
               source="load_time"),
        Column("flight_count", "bigint", "Flights in the window.", False, "count"),
        Column("bp_sum", "bigint", "Base points.", unit="points"),
        Column("sum_yr_1", MONEY, "Fare revenue, first year.", unit=CURRENCY),
        Column("sum_yr_2", MONEY, "Fare revenue, second year.", unit=CURRENCY),
        Column("seg_km_sum", "bigint", "Distance flown.", False, unit="km"),
        Column(
            "last_flight_date", "date",
            "Last flight; checked against LAST_TO_END, repaired from it where impossible.", False,
        ),
        Column("last_to_end", "bigint", DAYS_TO_END, False, "days"),
        Column("avg_interval", "double", "Mean interval between flights.", unit="days"),
        Column("max_interval", "bigint", "Longest interval between flights.", unit="days"),
        Column("exchange_count", "bigint", "Point redemptions.", unit="count"),
        Column("avg_discount", "double", "Mean share of the full fare that was paid.",
               unit="share"),
        Column("points_sum", "bigint", "All points.", False, unit="points"),
        Column("point_notflight", "bigint", "Point events other than flights.", unit="count"),
    ),
    watched=("ffp_tier", "age", "flight_count", "points_sum"),
    clustered=("member_no",),
    constraints={
        "age_plausible": "age IS NULL OR (age >= 12 AND age <= 100)",
        "flights_not_negative": "flight_count >= 0",
    },
)  # fmt: skip

SILVER_TRANSACTIONS = silver_table(
    TRANSACTIONS,
    (
        "One row per transaction_id over all deliveries: typed, labels normalised. The first "
        "delivery of an id counts (by day, file, row); correct one by delivering its day again."
    ),
    "transaction_id",
    (
        Column("transaction_id", "string", "Identifier of the purchase.", False),
        Column("customer_id", "bigint", "Member number.", False, "id"),
        Column("customer_name", "string", "Name, blanks collapsed; Unknown if not given.", False,
               pii=True),
        Column("email", "string", "E-mail, lower case; null if not an address.", pii=True),
        Column("purchase_date", "date", "Day of purchase.", False),
        Column("amount", MONEY, "Amount.", False, unit=CURRENCY),
        Column("status", "string", "Status, lower case; unknown if not given.", False),
        Column("payment_method", "string", "credit_card, debit_card, paypal ..., unknown.", False),
        Column("region", "string", "Sales region, upper case; Unknown if not given.", False),
    ),
    watched=("amount", "status", "payment_method", "region"),
    clustered=("customer_id",),
)  # fmt: skip
