"""Members: who they are and where they work, as of the end of each month."""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.catalog.gold import GoldTable, latest
from lakehouse_assets.catalog.registry import LOADED, Column, Reference, same_month
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS, SILVER_FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import TRANSACTIONS
from lakehouse_assets.domains.airline.shared import gold
from lakehouse_assets.domains.conformed.gold.calendar import dates
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v

CUSTOMER = Column("customer_key", "bigint", "Member number.", False, "id", "identifier")
GEO = Column("geo_key", "bigint", "Hash of country, province and city.", False, "id", "location")
GENDER = Column("gender", "string", "Male, Female or Unknown.", False, pii="demographic")
AGE = Column("age", "int", "Age of the member; null if not known.", unit="years", pii="demographic")
AGE_GROUP = Column(
    "age_group",
    "string",
    "Age group: Under 18, 18-29, then by decade to 60+; Unknown without an age.",
    False,
    pii="demographic",
)
TIER = Column("loyalty_tier", "int", "Number of the loyalty tier.", False, "code")
TIER_NAME = Column(
    "tier_name",
    "string",
    "Loyalty tier: Gold (4), Platinum (5), Diamond (6), or Silver for any other number.",
    False,
)

SNAPSHOT = Column(
    "snapshot_month",
    "date",
    "Month of the snapshot that the row comes from, as its first day.",
    False,
)

MEMBERSHIP = Column(
    "days_since_joining", "bigint",
    "Days from joining the programme to the end of the window.", False, "days",
)  # fmt: skip

PROVINCE = Column(
    "province",
    "string",
    "Province where the member works; Unknown if not given.",
    False,
    pii="location",
)

DIM_CUSTOMERS = gold(
    "dim_customers",
    "One row per member as of the end of a month, from the latest snapshot delivered by then.",
    (
        CUSTOMER, GENDER, AGE, AGE_GROUP, TIER, TIER_NAME,
        Column("loyalty_join_date", "date", "Day the member joined the programme.", False),
        MEMBERSHIP,
        Column("first_flight_date", "date", "Day of the first flight; null if not known."),
        Column("city", "string", "City where the member works; Unknown if not given.", False,
               pii="location"),
        PROVINCE,
        Column("country", "string", "Country where the member works, ISO alpha-2 code; Unknown if "
               "not given.", False),
        GEO, SNAPSHOT, LOADED,
    ),
    ("customer_key",),
    kind="dimension",
    references=(same_month(("geo_key",), "dim_geography"), dates("loyalty_join_date")),
)  # fmt: skip

DIM_GEOGRAPHY = gold(
    "dim_geography",
    "One row per country, province and city in which members work, as of the end of a month.",
    (
        GEO,
        Column("country", "string", "Country, ISO alpha-2 code, or Unknown.", False),
        PROVINCE,
        Column("city", "string", "City, or Unknown.", False),
        SNAPSHOT,
        LOADED,
    ),
    ("geo_key",),
    kind="dimension",
    # Members may give a country that does not exist; it is reported and kept.
    references=(Reference(("country",), "dim_countries", ("country_code",), required=False),),
    hierarchies={"Places": ("country", "province", "city")},
)


def dim_customers(members: DataFrame) -> DataFrame:
    """Describe each member of a snapshot; columns as declared for `dim_customers`."""
    return members.select(
        F.col("member_no").alias("customer_key"),
        "gender",
        "age",
        age_group(F.col("age")).alias("age_group"),
        F.col("ffp_tier").alias("loyalty_tier"),
        tier_name(F.col("ffp_tier")).alias("tier_name"),
        F.col("ffp_date").alias("loyalty_join_date"),
        v.days_between(F.col("ffp_date"), F.col("window_end")).alias("days_since_joining"),
        "first_flight_date",
        F.col("work_city").alias("city"),
        F.col("work_province").alias("province"),
        F.col("work_country").alias("country"),
        geo_key().alias("geo_key"),
        "snapshot_month",
    )


def dim_geography(members: DataFrame) -> DataFrame:
    """List the places in which members work; columns as declared for `dim_geography`."""
    return members.select(
        geo_key().alias("geo_key"),
        F.col("work_country").alias("country"),
        F.col("work_province").alias("province"),
        F.col("work_city").alias("city"),
        "snapshot_month",
    ).distinct()


def geo_key() -> Col:
    """Hash a member's place from its names only, so that the key never changes."""
    return v.hash_key(F.col("work_country"), F.col("work_province"), F.col("work_city"))


def tier_name(tier: Col) -> Col:
    """Name a tier: 4 Gold, 5 Platinum, 6 Diamond, any other Silver."""
    names = {4: "Gold", 5: "Platinum", 6: "Diamond"}
    return v.first_of(*((tier == F.lit(n), x) for n, x in names.items()), otherwise="Silver")


def age_group(age: Col) -> Col:
    """Group ages by decade, with Unknown and Under 18 as separate groups."""
    decades = {29: "18-29", 39: "30-39", 49: "40-49", 59: "50-59"}
    return v.first_of(
        (age.isNull(), "Unknown"),
        (age < F.lit(18), "Under 18"),
        *((age <= F.lit(last), group) for last, group in decades.items()),
        otherwise="60+",
    )


GOLD = (
    GoldTable(
        DIM_GEOGRAPHY,
        dim_geography,
        {"members": latest(SILVER_FLIGHTS)},
        # Either delivery starts the month's build. The quarantine is the trigger because it is
        # written last. Tables that build on this one need no such trigger.
        triggered_by=(quarantine_table(FLIGHTS), quarantine_table(TRANSACTIONS)),
    ),
    GoldTable(DIM_CUSTOMERS, dim_customers, {"members": latest(SILVER_FLIGHTS)}),
)
