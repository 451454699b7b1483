"""The airline domain."""

from datetime import date

from lakehouse_assets.catalog.domain import Domain
from lakehouse_assets.domains.airline.datasets import DATASETS
from lakehouse_assets.domains.airline.gold import customers, movements, segments, value
from lakehouse_assets.domains.airline.gold.segments import GOLD_CUSTOMER_SEGMENTS_ML
from lakehouse_assets.domains.airline.gold.value import KPI_CUSTOMER_VALUE
from lakehouse_assets.domains.airline.models import small_segments
from lakehouse_assets.domains.airline.models.segments import SEGMENTS
from lakehouse_assets.domains.airline.shared import DOMAIN, OWNER
from lakehouse_assets.ml.lifecycle import ModelTable

AIRLINE = Domain(
    name=DOMAIN,
    owner=OWNER,
    first_partition=date(2014, 1, 1),
    datasets=DATASETS,
    gold=(
        *customers.GOLD,
        *value.GOLD,
        *segments.GOLD,
        *movements.GOLD,
        *small_segments.GOLD,
    ),
    models=(ModelTable(SEGMENTS, GOLD_CUSTOMER_SEGMENTS_ML, KPI_CUSTOMER_VALUE),),
)
