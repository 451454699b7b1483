"""The gold assets of the airline domain.

Belongs here: which tables gold is built from and through which partitions. Not here: the rules
(`transforms/gold.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from lakehouse_assets.airline import tables as t
from lakehouse_assets.airline.expectations import CALENDAR
from lakehouse_assets.airline.transforms import gold as rules
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.ingest.datasets import quarantine_table
from lakehouse_assets.lake.assets import MakeAsset, Moment, asset_attributes, monthly_asset, step_of
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Everything
from lakehouse_assets.lake.transient import transient_faults_tried_again
from lakehouse_assets.partitions import WITHIN, Calendar
from lakehouse_assets.quality.declared import declared_check_results, declared_check_specs


def gold_assets(calendar: Calendar) -> Sequence[dg.AssetsDefinition]:
    """Make the gold assets: dimensions, facts, and customer value."""
    monthly, so_far = calendar.monthly, calendar.so_far
    return (
        _dim_date(),
        monthly_asset(
            t.DIM_GEOGRAPHY,
            lambda now, f: rules.dim_geography(latest_members(now, f), now.month, now.loaded_at),
            monthly,
            {t.SILVER_FLIGHTS: so_far},
            # The month begins with whatever of it was delivered and cleaned; what was set aside is
            # written last. Gold's first table says so for all that are built on it.
            begun_by=[quarantine_table(t.FLIGHTS), quarantine_table(t.TRANSACTIONS)],
        ),
        monthly_asset(
            t.DIM_CUSTOMERS,
            lambda now, f: rules.dim_customers(latest_members(now, f), now.month, now.loaded_at),
            monthly,
            {t.SILVER_FLIGHTS: so_far, t.DIM_GEOGRAPHY: None, t.DIM_DATE: None},
        ),
        monthly_asset(
            t.FACT_FLIGHTS,
            lambda now, f: rules.fact_flights(latest_members(now, f), now.month, now.loaded_at),
            monthly,
            {t.SILVER_FLIGHTS: so_far, t.DIM_CUSTOMERS: None, t.DIM_DATE: None},
        ),
        monthly_asset(
            t.FACT_TRANSACTIONS,
            lambda now, f: rules.fact_transactions(
                delivered_in_month(f["silver_transactions"], now), now.month, now.loaded_at
            ),
            monthly,
            {t.SILVER_TRANSACTIONS: WITHIN, t.DIM_CUSTOMERS: None, t.DIM_DATE: None},
        ),
        monthly_asset(
            t.CUSTOMER_SPEND,
            lambda now, f: rules.customer_spend(of_month(f["fact_transactions"], now)),
            monthly,
            {t.FACT_TRANSACTIONS: None},
        ),
        monthly_asset(
            t.KPI_CUSTOMER_VALUE,
            lambda now, f: rules.kpi_customer_value(
                of_month(f["dim_customers"], now),
                of_month(f["fact_flights"], now),
                f["customer_spend"],
                now.month,
            ),
            monthly,
            {t.DIM_CUSTOMERS: None, t.FACT_FLIGHTS: None, t.CUSTOMER_SPEND: so_far},
        ),
    )


def latest_members(now: Moment, frames: Mapping[str, DataFrame]) -> DataFrame:
    """Return the latest snapshot that has rows by the month; which one, the table's log says."""
    counts = now.lake.rows_by_partition(t.SILVER_FLIGHTS)
    delivered = [day for day, rows in counts.items() if rows and day <= now.month]
    snapshot = max(delivered, default=now.month)
    return frames["silver_flights"].filter(F.col("snapshot_month") == F.lit(snapshot))


def of_month(frame: DataFrame, now: Moment) -> DataFrame:
    """Return a monthly table's rows of the month."""
    return frame.filter(F.col("as_of_month") == F.lit(now.month))


def delivered_in_month(frame: DataFrame, now: Moment) -> DataFrame:
    """Return the rows delivered in the month."""
    following = (now.month + timedelta(days=32)).replace(day=1)
    day = F.col("delivered_on")
    return frame.filter((day >= F.lit(now.month)) & (day < F.lit(following)))


def _dim_date() -> dg.AssetsDefinition:
    make: MakeAsset = dg.asset(
        **asset_attributes(t.DIM_DATE),
        check_specs=declared_check_specs(t.DIM_DATE),
        required_resource_keys={"lake"},
        pool=step_of(t.DIM_DATE),
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
            yield from declared_check_results(t.DIM_DATE, lake, Everything(), Everything())

    return make(dim_date)
