"""Terms that all domains share."""

from lakehouse_assets.catalog.glossary import Term

TERMS = (
    Term(
        "Calendar day",
        "A day in UTC. All dates in the lake are UTC days, even for stores in other time zones.",
        synonyms=("date", "day"),
        columns=("date", "year", "quarter", "month", "day", "month_name", "year_month", "day_name",
                 "day_of_week", "is_weekend"),
    ),
    Term(
        "Week",
        "Seven days, identified by the first one. LAKEHOUSE_WEEK_STARTS_ON sets the first day of "
        "the week, Monday by default. ISO weeks always start on Monday and have their own year.",
        synonyms=("calendar week", "ISO week"),
        columns=("week_start", "iso_week", "iso_year"),
    ),
    Term(
        "Country",
        "A country or territory, identified by its two-letter ISO 3166 code; Unknown if a source "
        "gives none. Names are those of GeoNames.",
        synonyms=("nation", "ISO code"),
        columns=("country_code", "country_name", "iso3", "dim_countries.country",
                 "continent_code", "currency_code", "dim_countries.population"),
    ),
    Term(
        "Place",
        "A city or town with its coordinates, under the one name that all tables use for it. "
        "Spellings in the sources are matched to that name; text that names no place stays as "
        "delivered.",
        synonyms=("city", "location", "coordinates"),
        columns=("place_name", "known_as", "place", "state", "latitude", "longitude",
                 "dim_places.country", "dim_places.population"),
    ),
)  # fmt: skip
