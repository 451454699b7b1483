"""What the words mean that all domains share."""

from lakehouse_assets.catalog.glossary import Term
from lakehouse_assets.domains.conformed import OWNER

TERMS = (
    Term(
        "Calendar day",
        "A day in UTC. All dates of the lake are UTC days, also where a store is in another time "
        "zone.",
        OWNER,
        synonyms=("date", "day"),
        columns=("date", "year", "quarter", "month", "day", "month_name", "year_month", "day_name",
                 "day_of_week", "is_weekend"),
    ),
    Term(
        "Week",
        "Seven days from the configured first day of the week, Monday by default, named by that "
        "day. ISO weeks always start on Monday and have their own year.",
        OWNER,
        synonyms=("calendar week", "ISO week"),
        columns=("week_start", "iso_week", "iso_year"),
    ),
    Term(
        "Country",
        "A country or territory by its ISO 3166 code of two letters; Unknown where a source gives "
        "none. Names follow GeoNames.",
        OWNER,
        synonyms=("nation", "ISO code"),
        columns=("country_code", "country_name", "iso3", "dim_countries.country",
                 "continent_code", "currency_code", "dim_countries.population"),
    ),
    Term(
        "Place",
        "A city or town of the world with its position, under the one name that all tables use "
        "for it. Spellings of sources are matched to it; what is no place stays as it was given.",
        OWNER,
        synonyms=("city", "location", "coordinates"),
        columns=("place_name", "known_as", "place", "state", "latitude", "longitude",
                 "dim_places.country", "dim_places.population"),
    ),
)  # fmt: skip
