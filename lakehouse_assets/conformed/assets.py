"""The assets of the conformed dimensions.

Belongs here: which days and places there are. Not here: what is known of them (`transforms/`).
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg

from lakehouse_assets.conformed.tables import CALENDAR, DIM_DATE
from lakehouse_assets.conformed.transforms import dates as rules
from lakehouse_assets.lake.assets import MakeAsset, asset_attributes, step_of
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Everything
from lakehouse_assets.lake.transient import transient_faults_tried_again
from lakehouse_assets.quality.declared import declared_check_results, declared_check_specs


def conformed_assets() -> Sequence[dg.AssetsDefinition]:
    """Make the assets of all conformed dimensions."""
    return [_dim_date()]


def _dim_date() -> dg.AssetsDefinition:
    make: MakeAsset = dg.asset(
        **asset_attributes(DIM_DATE),
        check_specs=declared_check_specs(DIM_DATE),
        required_resource_keys={"lake"},
        pool=step_of(DIM_DATE),
    )

    @transient_faults_tried_again
    def dim_date(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
        import pyarrow as pa

        lake: Lake = context.resources.lake.open()
        first, last = CALENDAR
        days = [date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)]
        with lake.engine.scope():
            frame = lake.engine.from_arrow(pa.table({"date": pa.array(days, pa.date32())}))
            yield dg.Output(rules.dim_date(frame, datetime.now(UTC)))
            yield from declared_check_results(DIM_DATE, lake, Everything(), Everything())

    return make(dim_date)
