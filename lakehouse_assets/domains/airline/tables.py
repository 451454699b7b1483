"""Every table and landing dataset of the airline domain, declared once."""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import (
    Dataset,
    silver_table,
    text_field,
)
from lakehouse_assets.catalog.registry import (
    LOADED,
    Column,
    Kind,
    Layer,
    Reference,
    Table,
    monthly_table,
    same_month,
)
from lakehouse_assets.domains.airline.models.personas import (
    PERSONAS,
    UNCATEGORIZED,
    UNCATEGORIZED_RULE,
)

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

_DAYS_TO_END = (
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
        Column("last_to_end", "bigint", _DAYS_TO_END, False, "days"),
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

_CUSTOMER = Column("customer_key", "bigint", "Member number.", False, "id")
_GEO = Column("geo_key", "bigint", "Hash of country, province and city.", False, "id")
_GENDER = Column("gender", "string", "Male, Female or Unknown.", False, pii=True)
_AGE = Column("age", "int", "Age; null if not known.", unit="years", pii=True)
_AGE_GROUP = Column("age_group", "string", "Decade: Under 18, 18-29 ... 60+ or Unknown.", False)
_TIER = Column("loyalty_tier", "int", "Tier number.", False, "code")
_TIER_NAME = Column("tier_name", "string", "4 Gold, 5 Platinum, 6 Diamond, other Silver.", False)
_FLIGHTS_TOTAL = Column("total_flights", "bigint", "Flights in the window.", False, "count")
_KM = Column("total_km_flown", "bigint", "Distance flown in the window.", False, "km")
_POINTS = Column("total_loyalty_points", "bigint", "All points in the window.", False, "points")
_RECENCY = Column("days_since_last_flight", "bigint", _DAYS_TO_END, False, "days")
_SNAPSHOT = Column(
    "snapshot_month", "date", "Month of the snapshot that the row states, as its first day.", False
)
_MEMBERSHIP = Column(
    "days_since_joining", "bigint",
    "Days from joining the programme to the end of the window.", False, "days",
)  # fmt: skip
_PROVINCE = Column("province", "string", "Province of work; Unknown if not given.", False)


def _gold(
    name: str,
    description: str,
    columns: tuple[Column, ...],
    keys: tuple[str, ...],
    *,
    kind: Kind,
    references: tuple[Reference, ...] = (),
    layer: Layer = "gold",
    latest_with: str | None = None,
) -> Table:
    """Declare a monthly table: the month leads its columns and its keys."""
    return monthly_table(
        DOMAIN, name, description, columns, keys, OWNER,
        kind=kind, references=references, layer=layer, latest_with=latest_with,
    )  # fmt: skip


def _dates(column: str) -> Reference:
    return Reference((column,), "dim_date", ("date",))


DIM_CUSTOMERS = _gold(
    "dim_customers",
    "One row per member as of the end of a month, from the latest snapshot delivered by then.",
    (
        _CUSTOMER, _GENDER, _AGE, _AGE_GROUP, _TIER, _TIER_NAME,
        Column("loyalty_join_date", "date", "Day of joining the programme.", False),
        _MEMBERSHIP,
        Column("first_flight_date", "date", "First flight; null if not known."),
        Column("city", "string", "City of work; Unknown if not given.", False),
        _PROVINCE,
        Column("country", "string", "Country of work; Unknown if not given.", False),
        _GEO, _SNAPSHOT, LOADED,
    ),
    ("customer_key",),
    kind="dimension",
    references=(same_month(("geo_key",), "dim_geography"), _dates("loyalty_join_date")),
)  # fmt: skip

DIM_GEOGRAPHY = _gold(
    "dim_geography",
    "One row per country, province and city in which members work, as of the end of a month.",
    (
        _GEO,
        Column("country", "string", "Country, ISO alpha-2 or Unknown.", False),
        _PROVINCE,
        Column("city", "string", "City or Unknown.", False),
        _SNAPSHOT,
        LOADED,
    ),
    ("geo_key",),
    kind="dimension",
    # What members write for a country need not be one: that is told, and they stay.
    references=(Reference(("country",), "dim_countries", ("country_code",), required=False),),
)

FACT_FLIGHTS = _gold(
    "fact_flights",
    "One row per member: two years of flying as of the end of a month.",
    (
        _CUSTOMER, _FLIGHTS_TOTAL,
        Column("base_points", "bigint", "Base points.", unit="points"),
        Column("year_1_revenue", MONEY, "Fare revenue of the first year: money, although the lab "
               "calls it year_1_flights.", unit=CURRENCY, aliases=("year_1_flights",)),
        Column("year_2_revenue", MONEY, "Fare revenue of the second year: money, although the lab "
               "calls it year_2_flights.", unit=CURRENCY, aliases=("year_2_flights",)),
        _KM,
        Column("avg_flight_interval_days", "double", "Mean interval between flights.", unit="days"),
        Column("max_flight_interval_days", "bigint", "Longest interval.", unit="days"),
        _RECENCY,
        Column("exchange_count", "bigint", "Point redemptions.", unit="count"),
        Column("avg_discount_rate", "double", "Mean share of the full fare that was paid: 1 is no "
               "discount, 0.7 is 30 % off.", unit="share"),
        _POINTS,
        Column("non_flight_points", "bigint", "Point events other than flights.", unit="count"),
        Column("last_flight_date", "date", "Day of the last flight.", False),
        _SNAPSHOT,
        LOADED,
    ),
    ("customer_key",),
    kind="snapshot",
    references=(same_month(("customer_key",), "dim_customers"), _dates("last_flight_date")),
)  # fmt: skip

FACT_TRANSACTIONS = _gold(
    "fact_transactions",
    "One row per purchase, in the month of its delivery.",
    (
        Column("transaction_id", "string", "Identifier of the purchase.", False),
        _CUSTOMER,
        Column("transaction_date", "date", "Day of purchase.", False),
        Column("transaction_amount", MONEY, "Amount.", False, unit=CURRENCY),
        Column("status", "string", "Status, lower case.", False),
        Column("region", "string", "Sales region, upper case.", False),
        Column("payment_method", "string", "Payment method.", False),
        LOADED,
    ),
    ("transaction_id",),
    kind="event",
    references=(
        same_month(("customer_key",), "dim_customers", required=False),
        _dates("transaction_date"),
    ),
)

CUSTOMER_SPEND = _gold(
    "customer_spend",
    "Completed purchases per customer delivered in a month: the aggregate that later months add "
    "up, so that a new month costs one month.",
    (
        _CUSTOMER,
        Column("completed_amount", TOTAL, "Sum of completed purchases.", False, unit=CURRENCY),
        Column("completed_count", "bigint", "Number of completed purchases.", False, "count"),
    ),
    ("customer_key",),
    kind="aggregate",
)

_KPI_COLUMNS = (
    _CUSTOMER, _GENDER, _AGE, _AGE_GROUP, _TIER, _TIER_NAME, _PROVINCE,
    _MEMBERSHIP, _FLIGHTS_TOTAL, _KM, _POINTS, _RECENCY,
    Column("total_spent", TOTAL, "Sum of completed purchases delivered so far.", False, CURRENCY),
    Column("transaction_count", "bigint", "Completed purchases delivered so far.", False, "count"),
    Column("customer_status", "string",
           "Days since the last flight: to 90 Active, to 180 At Risk, above Inactive.", False),
)  # fmt: skip

KPI_CUSTOMER_VALUE = _gold(
    "kpi_customer_value",
    "One row per member: what the member is worth as of the end of a month. Purchases of customers "
    "who are no members are not in it; the check spenders_are_members tells what they add up to.",
    _KPI_COLUMNS,
    ("customer_key",),
    kind="snapshot",
    references=(same_month(("customer_key",), "dim_customers"),),
)

_SEGMENT = Column(
    "segment", "int", "Code of the persona, 1 to 5; null if Uncategorized.", unit="code"
)
_SEGMENT_NAME = Column(
    "segment_name", "string",
    " ".join(f"{p.name}: {p.rule}" for p in PERSONAS) + f" {UNCATEGORIZED}: {UNCATEGORIZED_RULE}",
    False,
)  # fmt: skip

GOLD_CUSTOMER_SEGMENTS_ML = _gold(
    "gold_customer_segments_ml",
    "Customer value with RFM scores, the k-means cluster, and the persona that the member's own "
    "rule gives: joined when, flew when and how often, and in the most valuable cluster or not.",
    (
        *_KPI_COLUMNS,
        Column("recency_score", "int", "1 to 5 by days since the last flight.", False, "score"),
        Column("frequency_score", "int", "1 to 5 by flights.", False, "score"),
        Column("monetary_score", "int", "1 to 5 by loyalty points.", False, "score"),
        Column(
            "cluster", "int",
            "Cluster of k-means on ten features, by falling mean of loyalty points: 0 is the most "
            "valuable. Null without all features. Numbers belong to one month.", unit="code",
        ),
        _SEGMENT, _SEGMENT_NAME,
    ),
    ("customer_key",),
    kind="snapshot",
    layer="segments",
    references=(same_month(("customer_key",), "dim_customers"),),
)  # fmt: skip


def _average(name: str, what: str, unit: str, *aliases: str) -> Column:
    description = f"Mean {what}; null if no member has one."
    return Column(name, "double", description, unit=unit, aliases=aliases)


GOLD_SEGMENT_SUMMARY = _gold(
    "gold_segment_summary",
    "One row per segment: size and means, with the columns of both of the lab's versions.",
    (
        _SEGMENT, _SEGMENT_NAME,
        Column("segment_rule", "string", "Who belongs to the segment.", False),
        Column("customer_count", "bigint", "Members.", False, "count"),
        _average("avg_age", "age, 1 decimal", "years"),
        _average("avg_flights", "flights, 1 decimal", "count", "avg_total_flights"),
        _average("avg_km", "distance, whole", "km"),
        _average("avg_points", "loyalty points, whole", "points", "avg_loyalty_points"),
        _average("avg_days_since_flight", "days since the last flight, whole", "days"),
        _average("avg_days_since_joining", "days since joining, whole", "days"),
        _average("avg_spent", "completed purchases, not fares (the lab's other name for it is "
                 "avg_revenue), 2 decimals", CURRENCY, "avg_revenue"),
        _average("avg_recency", "recency score, 2 decimals", "score"),
        _average("avg_frequency", "frequency score, 2 decimals", "score"),
        _average("avg_monetary", "monetary score, 2 decimals", "score"),
        Column("total_spent", TOTAL, "Completed spend of all members.", False, CURRENCY),
    ),
    ("segment_name",),
    kind="snapshot",
    layer="segments",
)  # fmt: skip

CUSTOMER_SEGMENTS_ML = _gold(
    "customer_segments_ml",
    "The lab's small model: five clusters on flights and points alone, unscaled. Segment 0 has the "
    "fewest points and 4 the most, in every month: unscaled, points alone set clusters apart, and "
    "on a line the nearest centre of the month before is the one of the same rank.",
    (_CUSTOMER, Column("segment", "int", "Cluster by rising mean of points.", False, "code"),
     _FLIGHTS_TOTAL, _POINTS),
    ("customer_key",),
    kind="snapshot",
    layer="segments",
    references=(same_month(("customer_key",), "dim_customers"),),
)  # fmt: skip

_PERSONA = "or (joined), (left) for members of one of the two months only."

GOLD_SEGMENT_MIGRATION = _gold(
    "gold_segment_migration",
    "Members by the persona of the month before that has members, and of the month.",
    (
        Column("from_segment_name", "string", f"Persona of the month before, {_PERSONA}", False),
        Column("to_segment_name", "string", f"Persona of the month, {_PERSONA}", False),
        Column("customers", "bigint", "Members.", False, "count"),
        Column("share", "double", "Share of the members with the first persona.", False, "share"),
    ),
    ("from_segment_name", "to_segment_name"),
    kind="snapshot",
    latest_with="gold_customer_segments_ml",
    layer="segments",
)

GOLD_NEWLY_AT_RISK = _gold(
    "gold_newly_at_risk",
    "Members whose customer_status turned At Risk: it is that now and was another one in the "
    "latest earlier month that has members. Members who were not there then are not listed.",
    (
        _CUSTOMER,
        Column("previous_status", "string", "Status of the month before.", False),
        Column("previous_segment_name", "string", "Persona of the month before.", False),
        Column("total_spent", TOTAL, "Completed spend so far.", False, CURRENCY),
        _RECENCY,
    ),
    ("customer_key",),
    kind="snapshot",
    latest_with="gold_customer_segments_ml",
    layer="segments",
    references=(same_month(("customer_key",), "dim_customers"),),
)
