"""The airline domain."""

from datetime import date

from lakehouse_assets.catalog.domain import Domain
from lakehouse_assets.domains.airline import tables as t
from lakehouse_assets.domains.airline.gold import customers, movements, segments, value
from lakehouse_assets.domains.airline.gold.segments import GOLD_CUSTOMER_SEGMENTS_ML
from lakehouse_assets.domains.airline.gold.value import KPI_CUSTOMER_VALUE
from lakehouse_assets.domains.airline.models import small_segments
from lakehouse_assets.domains.airline.models.segments import SEGMENTS
from lakehouse_assets.ml.lifecycle import ModelTable

AIRLINE = Domain(
    name=t.DOMAIN,
    owner=t.OWNER,
    first_partition=date(2014, 1, 1),
    datasets=t.DATASETS,
    silver=(t.SILVER_FLIGHTS, t.SILVER_TRANSACTIONS),
    gold=(
        *customers.GOLD,
        *value.GOLD,
        *segments.GOLD,
        *movements.GOLD,
        *small_segments.GOLD,
    ),
    models=(ModelTable(SEGMENTS, GOLD_CUSTOMER_SEGMENTS_ML, KPI_CUSTOMER_VALUE),),
)
