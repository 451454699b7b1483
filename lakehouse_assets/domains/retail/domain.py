"""The retail domain."""

from datetime import date

from lakehouse_assets.catalog.domain import Domain
from lakehouse_assets.domains.retail.gold import (
    campaigns,
    dimensions,
    product,
    sales,
    tweets,
    website,
)
from lakehouse_assets.domains.retail.sources import SOURCES
from lakehouse_assets.domains.retail.tables import DATASETS, SILVER
from lakehouse_assets.domains.retail.tables.common import DOMAIN, OWNER

RETAIL = Domain(
    name=DOMAIN,
    owner=OWNER,
    datasets=DATASETS,
    silver=SILVER,
    gold=(
        *campaigns.GOLD,
        *tweets.GOLD,
        *product.GOLD,
        *dimensions.GOLD,
        *sales.GOLD,
        *website.GOLD,
    ),
    sources=SOURCES,
    first_partition=date(2021, 1, 1),
)
